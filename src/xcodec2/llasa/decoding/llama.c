/* Llama's forward pass for a few tokens at a time: weights are read once, in the type they are stored in, and everything
 * is added up in float32.
 *
 * A row is one token of one sequence. Each output of each row is one chain of additions in one order, whatever other
 * rows there are and however many threads: the same tokens give the same bits in any batch. Vectors are GCC's and
 * clang's own (`vector_size`), so that one source serves every processor. llama.py holds the Python side.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define PANEL 64   /* outputs whose weights lie side by side: as vectors enough independent chains of additions */
#define CHUNK 128  /* inputs that are added up before they join the sum: as float32 a part of a panel fits into L1 */
#define AHEAD 8192 /* bytes before they are read, weights are asked for: processors by themselves stop at each page */
#define BLOCK 48   /* rows for which a panel's weights are converted once */

enum { FLOAT32, FLOAT16, BFLOAT16, INT8 };

/* (out, in) as panels (⌈out/PANEL⌉, in, PANEL), zeros behind the last output; bias (out,) or null. */
struct matrix {
    const void *weight;
    const float *bias;
    int64_t in, out, type;
};

/* gate_up: panels of 32 gates and the 32 values that they open. */
struct layer {
    struct matrix qkv, output, gate_up, down;
    const float *attention_norm, *mlp_norm;
};

struct model {
    const struct layer *layers;
    const float *norm;
    int64_t num_layers, hidden, heads, kv_heads, head_dim, intermediate;
    float epsilon;
};

/* cache: for each layer and each key-value head keys (capacity/8, head_dim, 8) and values (capacity, head_dim);
 * capacity is a multiple of 8. */
struct row {
    float *cache;
    int64_t capacity, position;
};

typedef void (*parallel_function)(void (*)(void *), void *, unsigned, unsigned);

struct workers {
    int threads;
    parallel_function parallel;
};

/* ---- vectors ----------------------------------------------------------------------------------------------- */

INLINE v8 floats_of(const uint16_t *half) {
#ifdef __F16C__
    return (v8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)half));
#else
    v8 wide;
    for (int i = 0; i < 8; i++) {
        _Float16 value;
        memcpy(&value, half + i, sizeof value);
        wide[i] = (float)value;
    }
    return wide;
#endif
}

INLINE v8 floats_of_bytes(const int8_t *bytes) {
#ifdef __AVX2__
    return (v8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)bytes)));
#else
    v8 wide;
    for (int i = 0; i < 8; i++)
        wide[i] = (float)bytes[i];
    return wide;
#endif
}

INLINE v8 chosen(i8 mask, v8 yes, v8 no) { return (v8)(((i8)yes & mask) | ((i8)no & ~mask)); }

INLINE v8 largest(v8 a, v8 b) { return chosen(a > b, a, b); }

INLINE float sum_of(v8 v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

/* e to the x, for x up to 88: 2 to a whole number times the series of what remains, which is within ±ln 2 / 2. */
INLINE v8 exponential(v8 x) {
    const float round = 12582912.0f; /* 1.5·2²³: adding it rounds to a whole number */
    v8 zero = {0};
    x = chosen(x < -87.0f, zero - 87.0f, x);
    x = chosen(x > 88.0f, zero + 88.0f, x);
    v8 n = (x * 1.44269504f + round) - round;
    v8 r = (x - n * 0.693359375f) + n * 0.00021219444f;
    v8 p = ((((((1.0f / 5040) * r + 1.0f / 720) * r + 1.0f / 120) * r + 1.0f / 24) * r + 1.0f / 6) * r + 0.5f);
    p = p * r * r + r + 1.0f;
    return (v8)((i8)p + (__builtin_convertvector(n, i8) << 23));
}

/* ---- work on several threads ------------------------------------------------------------------------------- */

struct job {
    void (*task)(void *, int64_t);
    void *data;
    int64_t count;
    atomic_llong next;
};

static void work(void *data) {
    struct job *job = data;
    for (int64_t item; (item = atomic_fetch_add(&job->next, 1)) < job->count;)
        job->task(job->data, item);
}

static void share(const struct workers *workers, void (*task)(void *, int64_t), void *data, int64_t count) {
    struct job job = {task, data, count, 0};
    if (workers->threads > 1 && workers->parallel)
        workers->parallel(work, &job, (unsigned)workers->threads, 0);
    else
        work(&job);
}

/* ---- matrix products --------------------------------------------------------------------------------------- */

typedef void panel_function(const void *weight, int type, const float *x, int64_t rows, int64_t in, float *y);

#define LANES 8
#define ROWS 6 /* at once: with two vectors of outputs twelve chains, which is what sixteen registers hold */
#define NAME(x) x##_of_8
#define TARGET
#define FROM_HALF(half) floats_of(half)
#define FROM_BYTES(bytes) floats_of_bytes(bytes)
#include "llama_panel.h"
#undef LANES
#undef ROWS
#undef NAME
#undef TARGET
#undef FROM_HALF
#undef FROM_BYTES

#ifdef __x86_64__
#define LANES 16
#define ROWS 8 /* of thirty-two registers sixteen hold sums */
#define NAME(x) x##_of_16
#define TARGET __attribute__((target("avx512f,avx512bw,fma,f16c")))
#define FROM_HALF(half) (v_of_16) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(half)))
#define FROM_BYTES(bytes) (v_of_16) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(bytes))))
#include "llama_panel.h"
#endif

static int has_wide_vectors(void) {
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
    return 0;
#endif
}

#ifdef __x86_64__
#define OF_THIS_PROCESSOR(function) (has_wide_vectors() ? function##_of_16 : function##_of_8)
#else
#define OF_THIS_PROCESSOR(function) function##_of_8
#endif

static int64_t panels_of(const struct matrix *m) { return (m->out + PANEL - 1) / PANEL; }

static const void *panel_of(const struct matrix *m, int64_t number) {
    int64_t size = m->type == FLOAT32 ? 4 : m->type == INT8 ? 1 : 2;
    return (const char *)m->weight + number * PANEL * m->in * size;
}

enum { STORE, ADD, GATE }; /* what happens to a product */

struct product {
    const struct matrix *matrix;
    panel_function *panel;
    const float *x;
    float *y;
    int64_t rows, pitch; /* of y */
    int how;
};

INLINE void gate(const float *gates, const float *values, float *y, int64_t count) {
    for (int64_t i = 0; i < count; i += 8) {
        v8 g = *(const v8 *)(gates + i), opened = g / (1.0f + exponential(-g)) * *(const v8 *)(values + i);
        memcpy(y + i, &opened, (size_t)MIN(8, count - i) * sizeof(float));
    }
}

static void product_task(void *data, int64_t number) {
    const struct product *product = data;
    const struct matrix *m = product->matrix;
    int64_t first = number * PANEL, outputs = MIN(PANEL, m->out - first);
    const void *weight = panel_of(m, number);
    float block[BLOCK * PANEL] __attribute__((aligned(64)));
    for (int64_t from = 0; from < product->rows; from += BLOCK) {
        int64_t rows = MIN(BLOCK, product->rows - from);
        product->panel(weight, (int)m->type, product->x + from * m->in, rows, m->in, block);
        for (int64_t r = 0; r < rows; r++) {
            float *row = block + r * PANEL, *y = product->y + (from + r) * product->pitch;
            for (int64_t i = 0; m->bias && i < outputs; i++)
                row[i] += m->bias[first + i];
            if (product->how == GATE)
                gate(row, row + PANEL / 2, y + first / 2, MIN(PANEL / 2, product->pitch - first / 2));
            else if (product->how == STORE)
                memcpy(y + first, row, (size_t)outputs * sizeof(float));
            else
                for (int64_t i = 0; i < outputs; i++)
                    y[first + i] += row[i];
        }
    }
}

static void multiply(const struct workers *workers, const struct matrix *matrix, const float *x, float *y, int64_t rows,
                     int64_t pitch, int how) {
    struct product product = {matrix, OF_THIS_PROCESSOR(panel), x, y, rows, pitch, how};
    share(workers, product_task, &product, panels_of(matrix));
}

/* ---- what is between the products -------------------------------------------------------------------------- */

/* y = x / √(mean x² + ε) · weight, for each row; x and y may be the same. */
static void normalize(const float *x, const float *weight, float *y, int64_t rows, int64_t size, float epsilon) {
    for (int64_t r = 0; r < rows; r++, x += size, y += size) {
        v8 squares = {0};
        int64_t i = 0;
        for (; i + 8 <= size; i += 8)
            squares += *(const v8 *)(x + i) * *(const v8 *)(x + i);
        float total = sum_of(squares);
        for (; i < size; i++)
            total += x[i] * x[i];
        float scale = 1.0f / sqrtf(total / (float)size + epsilon);
        for (i = 0; i < size; i++)
            y[i] = x[i] * scale * weight[i];
    }
}

/* Turn a head's pairs (i, i + half) by the angles of its position: cosines (half,), then sines. */
static void rotate(float *head, const float *angles, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float a = head[i], b = head[i + half], cosine = angles[i], sine = angles[half + i];
        head[i] = a * cosine - b * sine;
        head[i + half] = b * cosine + a * sine;
    }
}

static float *keys_of(const struct model *model, const struct row *row, int64_t layer, int64_t kv_head) {
    return row->cache + (layer * model->kv_heads + kv_head) * 2 * row->capacity * model->head_dim;
}

static float *values_of(const struct model *model, const struct row *row, int64_t layer, int64_t kv_head) {
    return keys_of(model, row, layer, kv_head) + row->capacity * model->head_dim;
}

/* Queries are turned in place, keys and values go to the caches. */
static void remember(const struct model *model, int64_t layer, const struct row *rows, int64_t count, float *qkv,
                     const float *angles) {
    int64_t size = model->head_dim, width = (model->heads + 2 * model->kv_heads) * size;
    for (int64_t r = 0; r < count; r++, qkv += width) {
        const struct row *row = rows + r;
        const float *own = angles + row->position * size;
        for (int64_t h = 0; h < model->heads + model->kv_heads; h++)
            rotate(qkv + h * size, own, size / 2);
        for (int64_t h = 0; h < model->kv_heads; h++) {
            const float *key = qkv + (model->heads + h) * size, *value = key + model->kv_heads * size;
            float *keys = keys_of(model, row, layer, h) + row->position / 8 * 8 * size + row->position % 8;
            for (int64_t d = 0; d < size; d++)
                keys[8 * d] = key[d];
            memcpy(values_of(model, row, layer, h) + row->position * size, value, (size_t)size * sizeof(float));
        }
    }
}

struct attention {
    const struct model *model;
    const struct row *rows;
    const float *qkv;
    float *y;
    int64_t layer;
};

/* Scores of eight positions each, `count` blocks of them. */
INLINE void score(const float *query, const float *keys, int64_t size, float scale, float *scores, int count) {
    v8 sums[4] = {0};
    for (int64_t d = 0; d < size; d++)
        for (int b = 0; b < count; b++)
            sums[b] += *(const v8 *)(keys + b * 8 * size + 8 * d) * query[d];
    for (int b = 0; b < count; b++)
        *(v8 *)(scores + 8 * b) = sums[b] * scale;
}

/* Scores → shares; their sum. Behind the last there are zeros, up to a whole block. */
static float to_shares(float *scores, int64_t count) {
    int64_t whole = (count + 7) / 8 * 8;
    for (int64_t t = count; t < whole; t++)
        scores[t] = -INFINITY;
    v8 high = *(const v8 *)scores, total = {0};
    for (int64_t t = 8; t < whole; t += 8)
        high = largest(*(const v8 *)(scores + t), high);
    float top = high[0];
    for (int i = 1; i < 8; i++)
        top = MAX(top, high[i]);
    for (int64_t t = 0; t < whole; t += 8)
        *(v8 *)(scores + t) = exponential(*(const v8 *)(scores + t) - top);
    for (int64_t t = count; t < whole; t++)
        scores[t] = 0;
    for (int64_t t = 0; t < whole; t += 8)
        total += *(const v8 *)(scores + t);
    return sum_of(total);
}

/* One head of one row looks at its sequence up to itself. */
static void attention_task(void *data, int64_t number) {
    const struct attention *attention = data;
    const struct model *model = attention->model;
    int64_t r = number / model->heads, h = number % model->heads, size = model->head_dim;
    const struct row *row = attention->rows + r;
    int64_t kv_head = h * model->kv_heads / model->heads, count = row->position + 1, blocks = (count + 7) / 8;
    const float *query = attention->qkv + r * (model->heads + 2 * model->kv_heads) * size + h * size;
    const float *keys = keys_of(model, row, attention->layer, kv_head);
    const float *values = values_of(model, row, attention->layer, kv_head);
    float *y = attention->y + (r * model->heads + h) * size, scale = 1.0f / sqrtf((float)size);
    float few[1024] __attribute__((aligned(64))), *scores = few;
    if (blocks * 8 > 1024)
        scores = malloc((size_t)blocks * 8 * sizeof(float));
    int64_t b = 0;
    for (; b + 4 <= blocks; b += 4)
        score(query, keys + b * 8 * size, size, scale, scores + 8 * b, 4);
    for (; b < blocks; b++)
        score(query, keys + b * 8 * size, size, scale, scores + 8 * b, 1);
    float total = 1.0f / to_shares(scores, count);
    int64_t d = 0;
    for (; d + 32 <= size; d += 32) {
        v8 sums[4] = {0};
        for (int64_t t = 0; t < count; t++)
            for (int i = 0; i < 4; i++)
                sums[i] += *(const v8 *)(values + t * size + d + 8 * i) * scores[t];
        for (int i = 0; i < 4; i++)
            *(v8 *)(y + d + 8 * i) = sums[i] * total;
    }
    for (; d < size; d++) {
        float sum = 0;
        for (int64_t t = 0; t < count; t++)
            sum += values[t * size + d] * scores[t];
        y[d] = sum * total;
    }
    if (scores != few)
        free(scores);
}

/* ---- what Python calls ------------------------------------------------------------------------------------- */

/* x (count, hidden): embeddings → what the head reads. angles (positions, head_dim): cosines and sines. Rows of one
 * sequence stand in order. 0, or 1 when there is no memory. */
int xcodec2_llama_forward(const struct model *model, const struct row *rows, int64_t count, float *x,
                          const float *angles, int threads, parallel_function parallel) {
    struct workers workers = {threads, parallel};
    int64_t hidden = model->hidden, size = model->head_dim, intermediate = model->intermediate;
    int64_t width = (model->heads + 2 * model->kv_heads) * size, attended = model->heads * size;
    float *scratch = malloc((size_t)(count * (hidden + width + attended + intermediate)) * sizeof(float));
    if (!scratch)
        return 1;
    float *normal = scratch, *qkv = normal + count * hidden, *mixed = qkv + count * width;
    float *opened = mixed + count * attended;
    for (int64_t l = 0; l < model->num_layers; l++) {
        const struct layer *layer = model->layers + l;
        normalize(x, layer->attention_norm, normal, count, hidden, model->epsilon);
        multiply(&workers, &layer->qkv, normal, qkv, count, width, STORE);
        remember(model, l, rows, count, qkv, angles);
        struct attention attention = {model, rows, qkv, mixed, l};
        share(&workers, attention_task, &attention, count * model->heads);
        multiply(&workers, &layer->output, mixed, x, count, hidden, ADD);
        normalize(x, layer->mlp_norm, normal, count, hidden, model->epsilon);
        multiply(&workers, &layer->gate_up, normal, opened, count, intermediate, GATE);
        multiply(&workers, &layer->down, opened, x, count, hidden, ADD);
    }
    normalize(x, model->norm, x, count, hidden, model->epsilon);
    free(scratch);
    return 0;
}

/* y (rows, out) = x (rows, in) · matrix. */
void xcodec2_llama_product(const struct matrix *matrix, const float *x, float *y, int64_t rows, int threads,
                           parallel_function parallel) {
    struct workers workers = {threads, parallel};
    multiply(&workers, matrix, x, y, rows, matrix->out, STORE);
}

/* The rows of a matrix as bytes, each with its scale (a multiple of PANEL of them); of each panel the largest scale and
 * the largest length of what the bytes leave out. */
struct bounds {
    struct matrix bytes;
    const float *scales, *panel_scales, *panel_tails;
};

/* Of one x: a bound is `rounding` scales and `tail` lengths and `slack` away, and `shift` below the product. */
struct query {
    float rounding, tail, slack, shift;
};

/* The most that a product of each panel can be, rows apart; of each row the panel of the best lower bound. */
static void bound(const struct bounds *bounds, const struct query *queries, const float *turned, int64_t rows,
                  float *highest, float *lowest, int64_t *likely) {
    panel_function *panel = OF_THIS_PROCESSOR(panel);
    int64_t panels = panels_of(&bounds->bytes);
    float block[BLOCK * PANEL] __attribute__((aligned(64)));
    for (int64_t p = 0; p < panels; p++) {
        const float *scales = bounds->scales + p * PANEL;
        panel(panel_of(&bounds->bytes, p), INT8, turned, rows, bounds->bytes.in, block);
        for (int64_t r = 0; r < rows; r++) {
            const float *y = block + r * PANEL;
            v8 high = *(const v8 *)y * *(const v8 *)scales;
            for (int i = 8; i < PANEL; i += 8)
                high = largest(*(const v8 *)(y + i) * *(const v8 *)(scales + i), high);
            float top = high[0];
            for (int i = 1; i < 8; i++)
                top = MAX(top, high[i]);
            float error = bounds->panel_scales[p] * queries[r].rounding + bounds->panel_tails[p] * queries[r].tail;
            error += queries[r].slack;
            highest[r * panels + p] = top + error;
            if (top - error > lowest[r]) {
                lowest[r] = top - error;
                likely[r] = p;
            }
        }
    }
}

/* The first of the largest products of the matrix with x, among the panels that may hold it; -1 when they are more than
 * an eighth of all. */
static int64_t best_of(const struct matrix *matrix, const struct query *query, const float *x, const float *highest,
                       float lowest, int64_t likely) {
    panel_function *panel = OF_THIS_PROCESSOR(panel);
    int64_t panels = panels_of(matrix), made = 0, place = -1;
    float y[PANEL] __attribute__((aligned(64))), best = -INFINITY;
    for (int64_t turn = -1; turn < panels; turn++) { /* the likely one first: it rules most others out */
        int64_t p = turn < 0 ? likely : turn;
        if (highest[p] < lowest || turn == likely)
            continue;
        if (++made > 1 + panels / 8)
            return -1;
        panel(panel_of(matrix, p), (int)matrix->type, x, 1, matrix->in, y);
        for (int64_t i = 0; i < MIN(PANEL, matrix->out - p * PANEL); i++)
            if (y[i] > best || (y[i] == best && p * PANEL + i < place)) {
                best = y[i];
                place = p * PANEL + i;
            }
        lowest = MAX(lowest, best - query->shift - query->slack);
    }
    return place;
}

/* places (rows,): of the first of the largest products of the matrix with each x (rows, in), found by the bounds with
 * turned (rows, numbers); -1 where the bounds leave too many. 0, or 1 when there is no memory. */
int xcodec2_llama_likeliest(const struct bounds *bounds, const struct matrix *matrix, const struct query *queries,
                            const float *x, const float *turned, int64_t rows, int64_t *places) {
    int64_t panels = panels_of(matrix), likely[BLOCK] = {0};
    float *highest = malloc((size_t)(MIN(BLOCK, rows) * panels) * sizeof(float)), lowest[BLOCK];
    if (!highest)
        return 1;
    for (int64_t from = 0; from < rows; from += BLOCK) {
        int64_t some = MIN(BLOCK, rows - from);
        for (int64_t r = 0; r < some; r++)
            lowest[r] = -INFINITY;
        bound(bounds, queries + from, turned + from * bounds->bytes.in, some, highest, lowest, likely);
        for (int64_t r = 0; r < some; r++)
            places[from + r] = best_of(matrix, queries + from + r, x + (from + r) * matrix->in, highest + r * panels,
                                       lowest[r], likely[r]);
    }
    free(highest);
    return 0;
}

/* ---- drawing ----------------------------------------------------------------------------------------------- */

#define WORDS 624
#define NUMBERS (WORDS / 2) /* of one turn: each takes two words */

/* The Mersenne Twister, seeded as PyTorch seeds it. */
struct random {
    uint32_t words[WORDS];
    int32_t used;
};

void xcodec2_random_seed(struct random *random, uint32_t seed) {
    random->words[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        random->words[i] = 1812433253u * (random->words[i - 1] ^ random->words[i - 1] >> 30) + i;
    random->used = WORDS;
}

INLINE uint32_t twisted(uint32_t high, uint32_t low, uint32_t far) {
    uint32_t both = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ both >> 1 ^ (-(both & 1u) & 0x9908b0dfu);
}

static void turn(struct random *random) {
    uint32_t *w = random->words;
    int i = 0;
    for (; i < WORDS - 397; i++)
        w[i] = twisted(w[i], w[i + 1], w[i + 397]);
    for (; i < WORDS - 1; i++)
        w[i] = twisted(w[i], w[i + 1], w[i + 397 - WORDS]);
    w[i] = twisted(w[i], w[0], w[i + 397 - WORDS]);
    random->used = 0;
}

INLINE uint32_t tempered(uint32_t y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* Which of the ids is drawn: its place. chances (count,) of the ids, ascending and below `vocabulary`.
 *
 * Every id below `vocabulary` waits for a time of the exponential distribution, and the first in proportion to its
 * chance is drawn: as torch.multinomial does with the same generator, to the bit. A time, -log(1 - u), is at least u,
 * so that a logarithm is only taken for those that may still be first. */
int64_t xcodec2_random_draw(struct random *random, const float *chances, const int64_t *ids, int64_t count,
                            int64_t vocabulary) {
    double times[NUMBERS];
    float best = -1.0f;
    int64_t drawn = 0, place = 0;
    for (int64_t from = 0; from < vocabulary;) {
        if (random->used >= WORDS)
            turn(random);
        int64_t some = MIN((WORDS - random->used) / 2, vocabulary - from);
        const uint32_t *words = random->words + random->used;
        random->used += (int32_t)(2 * some);
        int64_t to = from + some;
        if (place < count && ids[place] < to) {
            for (int64_t i = 0; i < some; i++) {
                uint64_t high = tempered(words[2 * i]) & 0x1fffffu, low = tempered(words[2 * i + 1]);
                times[i] = (double)(int64_t)(high << 32 | low) * 0x1p-53;
            }
            for (; place < count && ids[place] < to; place++) {
                double time = times[ids[place] - from];
                if (chances[place] * 1.000001 <= best * time)
                    continue;
                float ratio = chances[place] / (float)-log1p(-time);
                if (ratio > best) {
                    best = ratio;
                    drawn = place;
                }
            }
        }
        from = to;
    }
    return drawn;
}

/* chances (count,): scores divided by the temperature, as shares of one. */
void xcodec2_chances(const float *scores, float *chances, int64_t count, float temperature) {
    float top = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        chances[i] = scores[i] / temperature;
        top = MAX(top, chances[i]);
    }
    v8 totals = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        v8 x = *(v8 *)(chances + i) - top;
        v8 e = chosen(x < -87.0f, (v8){0}, exponential(x));
        *(v8 *)(chances + i) = e;
        totals += e;
    }
    double total = sum_of(totals);
    for (; i < count; i++)
        total += chances[i] = expf(chances[i] - top);
    float share = (float)(1 / total);
    for (i = 0; i < count; i++)
        chances[i] *= share;
}
