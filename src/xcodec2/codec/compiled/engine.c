/* Small codec networks on one core: a list of operations, run over the new frames of streams or over a whole.
 *
 * Python (program.py) lists the operations of a network once; a step then is one call from there, and costs what its
 * arithmetic and the reading of its weights cost. Values are float32; rows are frames, values of a frame lie side by
 * side. Weights that float16 holds exactly are kept in it, half as many bytes to read, and are widened in registers.
 * Vectors are GCC's and clang's own.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32), aligned(4), may_alias));

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define INLINE static inline __attribute__((always_inline))

#define PANEL 16      /* outputs whose weights lie side by side */
#define MOST_ROWS 6   /* rows that meet a weight while it is in a register */
#define CHUNK 192     /* rows that stay in the cache while all weights go by */
#define MOST_KEYS 8192
#define AHEAD_BYTES 4096 /* of weights that are asked for before they are needed: they come from far */

enum { LINEAR, LAYER_NORM, ROOT_NORM, GROUP_NORM, DEPTHWISE, ATTENTION, PLACE, GATE };
enum { NONE, SILU, GELU, RELU };

/* One operation; program.py has the same fields in the same order. Registers are places in the arena, in values a row. */
struct op {
    int32_t kind, act, half; /* half: the weights are float16 */
    int32_t in, out;         /* values a row, read and written */
    int32_t kernel, ahead;   /* of a convolution: frames in all and behind; PLACE: ahead is how many frames later */
    int32_t lag, fewer;      /* frames that what comes in lags behind, and that recordings are shorter on this way */
    int32_t heads, back;     /* of attention; back -1: all keys. GROUP_NORM: heads are groups */
    int32_t left, right;     /* distances beyond which the table has one entry */
    int32_t pitch, column;   /* values from one row written to the next; the first of them that is written */
    float eps, scale;
    int64_t from, to, skip;  /* registers; to = skip + scale * result unless skip is -1 */
    int64_t cache;           /* where this operation's cache begins in a stream's state, in values */
    const void *weight;      /* LINEAR: packed; norms: (out,); DEPTHWISE: (kernel, out) */
    const float *bias, *table; /* or null; the table (left + right + 1, values a head) of attention */
};

/* What is computed now: `frames` new rows of each of `streams`; or, with `whole`, one recording from end to end. */
struct run {
    float *arena, *scratch;
    const float **rows;     /* room for one pointer a row */
    int64_t streams, frames;
    const int64_t *start, *length; /* of each stream: frames given before; frames of the recording */
    float *const *state;
    int64_t *filled;        /* of each stream: rows in the buffers of its attention */
    int64_t reach, slack;   /* rows that those buffers keep, and hold beyond them */
    int whole;
};

/* ---- functions of eight numbers --------------------------------------------------------------------------- */

INLINE v8 all(float x) { return (v8){x, x, x, x, x, x, x, x}; }
INLINE v8 choose(i8 mask, v8 yes, v8 no) { return (v8)(((i8)yes & mask) | ((i8)no & ~mask)); }
INLINE v8 smaller(v8 a, v8 b) { return choose(a < b, a, b); }
INLINE v8 larger(v8 a, v8 b) { return choose(a > b, a, b); }

INLINE float sum(v8 x) {
#ifdef __AVX__
    __m128 y = _mm_add_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
#endif
    return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

/* exp: 2^n times a power series within ±ln(2)/2. */
INLINE v8 exponential(v8 x) {
    const v8 round = all(12582912.0f); /* 1.5·2²³: adding it rounds to a whole number */
    x = larger(smaller(x, all(88.0f)), all(-87.0f));
    v8 n = (x * all(1.44269504f) + round) - round;
    v8 r = (x - n * all(0.693359375f)) + n * all(2.12194440e-4f);
    v8 p = all(1.0f / 5040);
    p = p * r + all(1.0f / 720);
    p = p * r + all(1.0f / 120);
    p = p * r + all(1.0f / 24);
    p = p * r + all(1.0f / 6);
    p = p * r + all(0.5f);
    p = p * r + all(1.0f);
    p = p * r + all(1.0f);
    return p * (v8)((__builtin_convertvector(n, i8) + 127) << 23);
}

INLINE v8 sigmoid(v8 x) { return all(1.0f) / (all(1.0f) + exponential(-x)); }

/* x/2·(1 + erf(x/√2)); erfc(z) is exp(-z²) times a series in 1/(1 + 0.375·z), fitted to 6e-11. */
INLINE v8 gelu(v8 x) {
    static const float series[] = {-0.03548651f, 0.2743881f, -0.84684861f, 1.27813066f, -1.03924705f,
                                   0.78304626f, -0.08883901f, 0.26030793f, 0.20239259f, 0.21215563f};
    v8 z = larger(x, -x) * all(0.70710678f), t = all(1.0f) / (all(1.0f) + z * all(0.375f)), p = all(0.0f);
    for (unsigned k = 0; k < sizeof series / sizeof *series; k++)
        p = p * t + all(series[k]);
    v8 tail = x * all(0.5f) * t * p * exponential(-z * z); /* x/2·erfc(|x|/√2) */
    return choose(x > all(0.0f), x - tail, tail);
}

INLINE v8 activated(v8 x, int act) {
    if (act == SILU)
        return x * sigmoid(x);
    if (act == GELU)
        return gelu(x);
    if (act == RELU)
        return larger(x, all(0.0f));
    return x;
}

/* What follows `count` results in a row: activation, scale, skip. */
static void put(float *to, const float *result, const float *skip, int64_t count, int act, float scale) {
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        v8 y = activated(*(const v8 *)(result + i), act);
        *(v8 *)(to + i) = skip ? (v8)(*(const v8 *)(skip + i) + y * all(scale)) : y;
    }
    for (; i < count; i++) {
        float y = activated(all(result[i]), act)[0];
        to[i] = skip ? skip[i] + y * scale : y;
    }
}

/* ---- products ----------------------------------------------------------------------------------------------- */

INLINE void two_vectors(const void *weight, int half, v8 *low, v8 *high) {
    if (half) {
#ifdef __F16C__
        *low = (v8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)weight));
        *high = (v8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)weight + 1));
#elif defined(__aarch64__)
        typedef __fp16 h8 __attribute__((vector_size(16), aligned(2), may_alias));
        *low = __builtin_convertvector(((const h8 *)weight)[0], v8);
        *high = __builtin_convertvector(((const h8 *)weight)[1], v8);
#endif
    } else {
        *low = ((const v8 *)weight)[0];
        *high = ((const v8 *)weight)[1];
    }
}

/* `count` rows times one panel of weights (in, 16). */
INLINE void panel(const float *const *rows, int count, int64_t in, const void *weight, int half, const float *bias,
                  float (*result)[PANEL]) {
    v8 low[MOST_ROWS], high[MOST_ROWS], a, b;
    for (int r = 0; r < count; r++) {
        low[r] = bias ? *(const v8 *)bias : all(0.0f);
        high[r] = bias ? *(const v8 *)(bias + 8) : all(0.0f);
    }
    const char *at = weight;
    for (int64_t k = 0; k < in; k++, at += half ? 32 : 64) {
        two_vectors(at, half, &a, &b);
        __builtin_prefetch(at + AHEAD_BYTES);
        for (int r = 0; r < count; r++) {
            v8 x = all(rows[r][k]);
            low[r] += x * a;
            high[r] += x * b;
        }
    }
    for (int r = 0; r < count; r++) {
        *(v8 *)result[r] = low[r];
        *(v8 *)(result[r] + 8) = high[r];
    }
}

/* The number of rows as a constant, so that the compiler keeps their sums in registers. */
#define ROWS(kernel, n, ...)        \
    case n:                         \
        if (half)                   \
            kernel(rows, n, in, weight, 1, __VA_ARGS__); \
        else                        \
            kernel(rows, n, in, weight, 0, __VA_ARGS__); \
        break;
#define UP_TO_SIX(kernel, ...)                                                                    \
    ROWS(kernel, 1, __VA_ARGS__) ROWS(kernel, 2, __VA_ARGS__) ROWS(kernel, 3, __VA_ARGS__)        \
    ROWS(kernel, 4, __VA_ARGS__) ROWS(kernel, 5, __VA_ARGS__) ROWS(kernel, 6, __VA_ARGS__)
#define SEVEN_TO_TWELVE(kernel, ...)                                                              \
    ROWS(kernel, 7, __VA_ARGS__) ROWS(kernel, 8, __VA_ARGS__) ROWS(kernel, 9, __VA_ARGS__)        \
    ROWS(kernel, 10, __VA_ARGS__) ROWS(kernel, 11, __VA_ARGS__) ROWS(kernel, 12, __VA_ARGS__)

static void narrow(const float *const *rows, int count, int64_t in, const void *weight, int half, const float *bias,
                   float (*result)[PANEL]) {
    switch (count) {
        UP_TO_SIX(panel, bias, result)
    }
}

#ifdef __x86_64__
/* The same with vectors of sixteen, where the processor has them; the bits are the same. */
#define SIXTEEN __attribute__((target("avx512f")))

INLINE SIXTEEN void wide_panel(const float *const *rows, int count, int64_t in, const void *weight, int half,
                               const float *bias, float (*result)[PANEL]) {
    __m512 total[2 * MOST_ROWS], a;
    for (int r = 0; r < count; r++)
        total[r] = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
    const char *at = weight;
    for (int64_t k = 0; k < in; k++, at += half ? 32 : 64) {
        a = half ? _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at)) : _mm512_loadu_ps(at);
        __builtin_prefetch(at + AHEAD_BYTES);
        for (int r = 0; r < count; r++)
            total[r] = _mm512_fmadd_ps(_mm512_set1_ps(rows[r][k]), a, total[r]);
    }
    for (int r = 0; r < count; r++)
        _mm512_storeu_ps(result[r], total[r]);
}

static SIXTEEN void wide(const float *const *rows, int count, int64_t in, const void *weight, int half,
                         const float *bias, float (*result)[PANEL]) {
    switch (count) {
        UP_TO_SIX(wide_panel, bias, result)
        SEVEN_TO_TWELVE(wide_panel, bias, result)
    }
}
#endif

/* All rows times a packed weight; biases are padded to whole panels. */
static void product(const struct op *op, const struct run *run, const float *const *rows, int64_t in, float *to,
                    const float *skip) {
    int64_t count = run->streams * run->frames, size = in * PANEL * (op->half ? 2 : 4), most = MOST_ROWS;
    void (*multiply)(const float *const *, int, int64_t, const void *, int, const float *, float (*)[PANEL]) = narrow;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        multiply = wide, most = 2 * MOST_ROWS;
#endif
    for (int64_t begin = 0; begin < count; begin += CHUNK)
        for (int64_t first = 0; first < op->out; first += PANEL) {
            const char *weight = (const char *)op->weight + first / PANEL * size;
            int64_t end = MIN(begin + CHUNK, count), width = MIN(PANEL, op->out - first);
            for (int64_t row = begin; row < end;) {
                float result[2 * MOST_ROWS][PANEL] __attribute__((aligned(64)));
                int64_t left = end - row, blocks = (left + most - 1) / most, n = (left + blocks - 1) / blocks;
                multiply(rows + row, (int)n, in, weight, op->half, op->bias ? op->bias + first : 0, result);
                for (int64_t r = 0; r < n; r++, row++)
                    put(to + row * op->pitch + first, result[r], skip ? skip + row * op->out + first : 0, width,
                        op->act, op->scale);
            }
        }
}

/* When new frame `i` of a stream was, where it comes to an operation. */
INLINE int64_t time_of(const struct op *op, const struct run *run, int64_t stream, int64_t i) {
    return run->start[stream] + i - (run->whole ? 0 : op->lag);
}

/* Whether it lies in the recording. */
INLINE int lies_inside(const struct op *op, const struct run *run, int64_t stream, int64_t i) {
    int64_t time = time_of(op, run, stream, i);
    return time >= 0 && time < run->length[stream] - op->fewer;
}

/* New frames behind the cached ones, zeros for those outside, in scratch: where a convolution's inputs of an output
 * lie in a row. Frames (kernel - 1 + frames, in) of each stream. */
static void lay_out(const struct op *op, const struct run *run) {
    int64_t kept = op->kernel - 1, in = op->in, each = (kept + run->frames) * in;
    for (int64_t b = 0; b < run->streams; b++) {
        float *laid = run->scratch + b * each, *fresh = laid + (run->whole ? kept - op->ahead : kept) * in;
        const float *from = run->arena + op->from * run->streams * run->frames + b * run->frames * in;
        if (run->whole) {
            memset(laid, 0, (size_t)each * sizeof(float));
        } else {
            memcpy(laid, run->state[b] + op->cache, (size_t)(kept * in) * sizeof(float));
        }
        for (int64_t i = 0; i < run->frames; i++)
            if (lies_inside(op, run, b, i))
                memcpy(fresh + i * in, from + i * in, (size_t)in * sizeof(float));
            else
                memset(fresh + i * in, 0, (size_t)in * sizeof(float));
        if (!run->whole)
            memcpy(run->state[b] + op->cache, laid + run->frames * in, (size_t)(kept * in) * sizeof(float));
    }
}

static void linear(const struct op *op, const struct run *run, const float *from, float *to, const float *skip) {
    int64_t frames = run->frames, each = (op->kernel - 1 + frames) * op->in;
    if (op->kernel > 1)
        lay_out(op, run);
    for (int64_t b = 0; b < run->streams; b++)
        for (int64_t i = 0; i < frames; i++)
            run->rows[b * frames + i] =
                op->kernel > 1 ? run->scratch + b * each + i * op->in : from + (b * frames + i) * op->in;
    product(op, run, run->rows, (int64_t)op->kernel * op->in, to, skip);
}

static void depthwise(const struct op *op, const struct run *run, float *to) {
    int64_t frames = run->frames, width = op->in, each = (op->kernel - 1 + frames) * width;
    const float *weight = op->weight;
    lay_out(op, run);
    for (int64_t b = 0; b < run->streams; b++)
        for (int64_t i = 0; i < frames; i++)
            for (int64_t c = 0; c < width; c += 8) {
                const float *laid = run->scratch + b * each + i * width + c;
                v8 y = op->bias ? *(const v8 *)(op->bias + c) : all(0.0f);
                for (int64_t k = 0; k < op->kernel; k++)
                    y += *(const v8 *)(laid + k * width) * *(const v8 *)(weight + k * width + c);
                *(v8 *)(to + (b * frames + i) * width + c) = y;
            }
}

/* ---- norms --------------------------------------------------------------------------------------------------- */

static void norm(const struct op *op, const struct run *run, const float *from, float *to) {
    int64_t width = op->in;
    for (int64_t row = 0; row < run->streams * run->frames; row++) {
        const float *x = from + row * width, *weight = op->weight;
        float *y = to + row * width, mean = 0;
        v8 total = all(0.0f);
        if (op->kind == LAYER_NORM) {
            for (int64_t c = 0; c < width; c += 8)
                total += *(const v8 *)(x + c);
            mean = sum(total) / (float)width;
            total = all(0.0f);
        }
        for (int64_t c = 0; c < width; c += 8) {
            v8 d = *(const v8 *)(x + c) - all(mean);
            total += d * d;
        }
        v8 scale = all(1.0f / sqrtf(sum(total) / (float)width + op->eps));
        for (int64_t c = 0; c < width; c += 8) {
            v8 z = (*(const v8 *)(x + c) - all(mean)) * scale * *(const v8 *)(weight + c);
            if (op->bias)
                z += *(const v8 *)(op->bias + c);
            *(v8 *)(y + c) = activated(z, op->act);
        }
    }
}

/* Over all frames of a whole, and some channels. */
static void group_norm(const struct op *op, const struct run *run, const float *from, float *to) {
    int64_t width = op->in, size = width / op->heads;
    const float *weight = op->weight;
    for (int64_t g = 0; g < width; g += size) {
        double mean = 0, square = 0, count = (double)(size * run->frames);
        for (int64_t i = 0; i < run->frames; i++)
            for (int64_t c = g; c < g + size; c++)
                mean += from[i * width + c];
        mean /= count;
        for (int64_t i = 0; i < run->frames; i++)
            for (int64_t c = g; c < g + size; c++) {
                double d = from[i * width + c] - mean;
                square += d * d;
            }
        float scale = (float)(1 / sqrt(square / count + op->eps));
        for (int64_t i = 0; i < run->frames; i++)
            for (int64_t c = g; c < g + size; c++)
                to[i * width + c] = (from[i * width + c] - (float)mean) * scale * weight[c] + op->bias[c];
    }
    for (int64_t i = 0; i < run->frames * width; i += 8)
        *(v8 *)(to + i) = activated(*(v8 *)(to + i), op->act);
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

#define WIDEST 8 /* vectors of a head that are dealt with together */

INLINE float dot(const float *a, const float *b, int64_t size) {
    v8 even = all(0.0f), odd = all(0.0f);
    int64_t c = 0;
    for (; c + 16 <= size; c += 16) {
        even += *(const v8 *)(a + c) * *(const v8 *)(b + c);
        odd += *(const v8 *)(a + c + 8) * *(const v8 *)(b + c + 8);
    }
    if (c < size)
        even += *(const v8 *)(a + c) * *(const v8 *)(b + c);
    return sum(even + odd);
}

/* The mean of `count` rows by their weights; `vectors` of eight values each. */
INLINE void mean_of(const float *rows, int64_t pitch, const float *weights, int64_t count, int vectors, float total,
                    float *to) {
    v8 y[WIDEST];
    for (int c = 0; c < vectors; c++)
        y[c] = all(0.0f);
    for (int64_t j = 0; j < count; j++)
        for (int c = 0; c < vectors; c++)
            y[c] += all(weights[j]) * *(const v8 *)(rows + j * pitch + 8 * c);
    for (int c = 0; c < vectors; c++)
        *(v8 *)(to + 8 * c) = y[c] / all(total);
}

/* One query and the keys `first` … `last` of `rows` (…, 3·width: query, key and value) → (size,). */
static void attend(const struct op *op, const float *rows, int64_t query, int64_t first, int64_t last, int64_t head,
                   float *scores, float *near, float *to) {
    int64_t width = op->out, size = width / op->heads, pitch = 3 * width, count = last - first;
    const float *q = rows + query * pitch + head * size, *k = rows + first * pitch + width + head * size, *v = k + width;
    float highest = -INFINITY, scale = 1 / sqrtf((float)size);
    v8 total = all(0.0f);
    if (op->table) {
        int64_t nearest = MAX(first - query, -(int64_t)op->left), furthest = MIN(last - 1 - query, (int64_t)op->right);
        for (int64_t d = MIN(nearest, (int64_t)op->right); d <= MAX(furthest, -(int64_t)op->left); d++)
            near[d + op->left] = dot(q, op->table + (d + op->left) * size, size);
    }
    for (int64_t j = 0; j < count; j++) {
        float score = dot(q, k + j * pitch, size);
        if (op->table)
            score += near[MIN(MAX(first + j - query, -(int64_t)op->left), (int64_t)op->right) + op->left];
        scores[j] = score * scale;
        highest = MAX(highest, scores[j]);
    }
    for (int64_t j = count; j % 8; j++)
        scores[j] = -INFINITY;
    for (int64_t j = 0; j < count; j += 8)
        total += *(v8 *)(scores + j) = exponential(*(v8 *)(scores + j) - all(highest));
    for (int64_t c = 0; c < size; c += 8 * WIDEST)
        if (size - c >= 8 * WIDEST)
            mean_of(v + c, pitch, scores, count, WIDEST, sum(total), to + c);
        else
            for (int64_t d = c; d < size; d += 8)
                mean_of(v + d, pitch, scores, count, 1, sum(total), to + d);
}

/* The row of the buffers of a stream's attention where new ones go: where none fit, behind those that are kept. */
INLINE int64_t first_free(const struct run *run, int64_t stream) {
    int64_t filled = run->filled[stream];
    return filled + run->frames > run->reach + run->slack ? run->reach : filled;
}

static void attention(const struct op *op, const struct run *run, const float *from, float *to) {
    int64_t frames = run->frames, width = op->out, pitch = 3 * width;
    float scores[MOST_KEYS + 8], near[512];
    for (int64_t b = 0; b < run->streams; b++) {
        const float *fresh = from + b * frames * pitch, *rows = fresh;
        int64_t base = 0, length = run->length[b] - op->fewer, late = run->whole ? 0 : op->ahead;
        if (!run->whole) { /* behind the rows of former steps, which are moved when the buffer is full */
            float *held = run->state[b] + op->cache;
            base = first_free(run, b);
            if (base < run->filled[b])
                memmove(held, held + (run->filled[b] - run->reach) * pitch,
                        (size_t)(run->reach * pitch) * sizeof(float));
            memcpy(held + base * pitch, fresh, (size_t)(frames * pitch) * sizeof(float));
            rows = held;
        }
        for (int64_t i = 0; i < frames; i++) {
            int64_t time = time_of(op, run, b, i) - late, query = base + i - late;
            int64_t first = op->back < 0 ? 0 : MAX(time - op->back, 0);
            int64_t last = op->back < 0 ? length : MIN(time + op->ahead + 1, length);
            float *y = to + (b * frames + i) * width;
            if (time < 0 || last <= first) /* outside of the recording: what follows does not look at it */
                memset(y, 0, (size_t)width * sizeof(float));
            else
                for (int64_t head = 0; head < op->heads; head++)
                    attend(op, rows, query, query + first - time, query + last - time, head, scores, near,
                           y + head * width / op->heads);
        }
    }
}

/* ---- the rest ------------------------------------------------------------------------------------------------- */

/* Rows into some columns of another register, `ahead` frames later. */
static void place(const struct op *op, const struct run *run, const float *from, float *to) {
    int64_t in = op->in, late = run->whole ? 0 : op->ahead, frames = run->frames;
    size_t row = (size_t)in * sizeof(float);
    for (int64_t b = 0; b < run->streams; b++) {
        const float *fresh = from + b * frames * in;
        float *held = late ? run->state[b] + op->cache : 0;
        for (int64_t i = 0; i < frames; i++)
            memcpy(to + (b * frames + i) * op->pitch, i < late ? held + i * in : fresh + (i - late) * in, row);
        if (late && frames < late)
            memmove(held, held + frames * in, (size_t)(late - frames) * row);
        for (int64_t i = MAX(frames - late, 0); late && i < frames; i++)
            memcpy(held + (late - frames + i) * in, fresh + i * in, row);
    }
}

static void gate(const struct op *op, const struct run *run, const float *from, float *to) {
    for (int64_t row = 0; row < run->streams * run->frames; row++)
        for (int64_t c = 0; c < op->out; c += 8) {
            const float *x = from + row * 2 * op->out + c;
            *(v8 *)(to + row * op->out + c) = *(const v8 *)x * sigmoid(*(const v8 *)(x + op->out));
        }
}

/* The most keys that a query of a whole can have. */
int64_t xcodec2_most_keys(void) { return MOST_KEYS; }

/* Whether float16 weights can be read. */
int xcodec2_reads_half(void) {
#if defined(__F16C__) || defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

void xcodec2_run(const struct op *ops, int64_t count, const struct run *run) {
    for (const struct op *op = ops; op < ops + count; op++) {
        int64_t rows = run->streams * run->frames;
        const float *from = run->arena + op->from * rows, *skip = op->skip < 0 ? 0 : run->arena + op->skip * rows;
        float *to = run->arena + op->to * rows + op->column;
        switch (op->kind) {
        case LINEAR: linear(op, run, from, to, skip); break;
        case LAYER_NORM:
        case ROOT_NORM: norm(op, run, from, to); break;
        case GROUP_NORM: group_norm(op, run, from, to); break;
        case DEPTHWISE: depthwise(op, run, to); break;
        case ATTENTION: attention(op, run, from, to); break;
        case PLACE: place(op, run, from, to); break;
        case GATE: gate(op, run, from, to); break;
        }
    }
    for (int64_t b = 0; b < run->streams && !run->whole; b++)
        run->filled[b] = first_free(run, b) + run->frames;
}
