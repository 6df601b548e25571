/* The anti-aliased activation in one pass: up ×2, x + sin²(αx)/β, down ×2, while a tile is in the cache.
 *
 * PyTorch runs the same as a dozen operations on arrays twice the size. float32, channels side by side in memory.
 * Vectors are GCC's and clang's own (`vector_size`), so that one source serves every processor. snake_kernel.py
 * holds the Python side.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef double d8 __attribute__((vector_size(64)));

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define WIDTH 16  /* channels at once: a cache line */
#define TILE 96   /* outputs at once: the buffers of a tile stay in L1 */
#define REACH 3   /* values of the doubled rate before and behind an output's own two, in pairs */
#define HELD (TILE + 4 * REACH)
#define DOUBLED (TILE + 2 * REACH)
#define TAP(k) f[(k) < 6 ? (k) : 11 - (k)] /* the filter is symmetric: six values stay in registers */
#define LARGEST_ANGLE 25000.0f /* beyond it the three-part reduction by π loses bits */
#define LARGEST_DOUBLE 1e8f /* beyond it the reduction in double precision does */

typedef float row[WIDTH];

/* sin²(r) for r in ±π/2, where nine powers give float32's precision. */
static inline v8 sine_squared_near_zero(v8 r) {
    v8 u = r * r;
    v8 p = ((2.6056309252453502e-06f * u - 0.00019809538207482547f) * u + 0.008333065547049046f) * u;
    v8 sine = r + r * u * (p - 0.16666659712791443f);
    return sine * sine;
}

/* sin²(y): it repeats after π, so y is brought to ±π/2. */
static inline v8 sine_squared(v8 y) {
    const float round = 12582912.0f; /* 1.5·2²³: adding it rounds to a whole number */
    v8 turns = (y * 0.31830988618f + round) - round;
    return sine_squared_near_zero(((y - turns * 3.140625f) - turns * 0.0009675025939941406f) -
                                  turns * 1.5099580252808664e-07f);
}

/* The same for large y, at half the speed. */
static inline v8 sine_squared_of_large(v8 y) {
    const double round = 6755399441055744.0; /* 1.5·2⁵² */
    d8 exact = __builtin_convertvector(y, d8), turns = (exact * 0.3183098861837907 + round) - round;
    return sine_squared_near_zero(__builtin_convertvector(exact - turns * 3.141592653589793, v8));
}

enum { FAST, DOUBLE, LIBRARY }; /* how the sine is computed, by the largest angle */

/* u + sin²(αu)/β */
static inline v8 activated(v8 u, v8 alpha, v8 scale, int sine) {
    v8 y = u * alpha, squared;
    if (sine == FAST)
        squared = sine_squared(y);
    else if (sine == DOUBLE)
        squared = sine_squared_of_large(y);
    else
        for (int k = 0; k < 8; k++) /* as slow as rare */
            squared[k] = sinf(y[k]) * sinf(y[k]);
    return u + squared * scale;
}

/* A signal's `count` rows → even and odd rows of twice the rate, activated; whether an angle was beyond `limit`.
 * Compared are the bits of |αu|, which as whole numbers have the order of what they mean, NaN last. */
static inline __attribute__((always_inline)) int rise(row *held, row *even, row *odd, int64_t count, const float *alpha,
                                                      const float *scale, const float *f, int sine, float limit) {
    int32_t limit_bits;
    memcpy(&limit_bits, &limit, sizeof limit);
    i8 beyond = {0};
    for (int v = 0; v < WIDTH; v += 8) {
        v8 a = *(v8 *)(alpha + v), s = *(v8 *)(scale + v);
        for (int64_t i = 0; i < count; i++) {
            v8 up = *(v8 *)(held[i] + v) * TAP(11), up_odd = *(v8 *)(held[i + 1] + v) * TAP(10);
            for (int k = 1; k < 6; k++) {
                up += *(v8 *)(held[i + k] + v) * TAP(11 - 2 * k);
                up_odd += *(v8 *)(held[i + k + 1] + v) * TAP(10 - 2 * k);
            }
            up *= 2.0f;
            up_odd *= 2.0f;
            beyond |= (((i8)(up * a) & INT32_MAX) > limit_bits) | (((i8)(up_odd * a) & INT32_MAX) > limit_bits);
            *(v8 *)(even[i] + v) = activated(up, a, s, sine);
            *(v8 *)(odd[i] + v) = activated(up_odd, a, s, sine);
        }
    }
    int any = 0;
    for (int k = 0; k < 8; k++)
        any |= beyond[k];
    return any;
}

static inline void copy(float *to, const float *from, int64_t channels) {
    if (channels >= WIDTH)
        memcpy(to, from, sizeof(row)); /* of a size known to the compiler */
    else
        memcpy(to, from, (size_t)channels * sizeof(float));
}

/* `count` outputs from `start` on, of a signal of `length` samples; `channels` up to WIDTH, `pitch` apart in time. */
static void tile(const float *x, float *y, int64_t start, int64_t count, int64_t length, int64_t channels,
                 int64_t pitch, const float *alpha, const float *scale, const float *f) {
    /* held[i]: the input at start + i - 6; even[i], odd[i]: the doubled rate at 2n and 2n + 1, n = start + i - 3 */
    row held[HELD] __attribute__((aligned(64))), even[DOUBLED] __attribute__((aligned(64)));
    row odd[DOUBLED] __attribute__((aligned(64)));
    if (channels < WIDTH)
        memset(held, 0, sizeof held);
    for (int64_t i = 0; i < count + 4 * REACH; i++)
        copy(held[i], x + MIN(MAX(start + i - 2 * REACH, 0), length - 1) * pitch, channels);
    int64_t doubled = count + 2 * REACH;
    if (rise(held, even, odd, doubled, alpha, scale, f, FAST, LARGEST_ANGLE) &&
        rise(held, even, odd, doubled, alpha, scale, f, DOUBLE, LARGEST_DOUBLE))
        rise(held, even, odd, doubled, alpha, scale, f, LIBRARY, INFINITY);
    for (int64_t i = 0; i < REACH - start; i++) { /* before the signal: its first value at the doubled rate */
        memcpy(even[i], even[REACH - start], sizeof(row));
        memcpy(odd[i], even[REACH - start], sizeof(row));
    }
    for (int64_t i = length - start + REACH; i < doubled; i++) { /* behind it: its last */
        memcpy(even[i], odd[length - start + REACH - 1], sizeof(row));
        memcpy(odd[i], odd[length - start + REACH - 1], sizeof(row));
    }
    for (int v = 0; v < WIDTH; v += 8)
        for (int64_t i = 0; i < count; i++) {
            v8 sum = *(v8 *)(odd[i] + v) * TAP(0) + *(v8 *)(even[i + 1] + v) * TAP(1);
            for (int k = 1; k < 6; k++)
                sum += *(v8 *)(odd[i + k] + v) * TAP(2 * k) + *(v8 *)(even[i + 1 + k] + v) * TAP(2 * k + 1);
            *(v8 *)(held[i] + v) = sum;
        }
    for (int64_t i = 0; i < count; i++)
        copy(y + (start + i) * pitch, held[i], channels);
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

struct job {
    const float *x, *alpha, *beta, *taps;
    float *y;
    const int64_t *lengths;
    int64_t batch, size, channels, tiles;
    atomic_llong next;
};

static void one_tile(const struct job *job, int64_t item) {
    int64_t index = item / job->tiles, start = item % job->tiles * TILE, pitch = job->channels;
    int64_t length = job->lengths ? job->lengths[index] : job->size, stop = MIN(start + TILE, job->size);
    const float *x = job->x + index * job->size * pitch;
    float *y = job->y + index * job->size * pitch;
    for (int64_t c = 0; c < pitch && start < length; c += WIDTH) {
        row alpha = {0}, scale = {0};
        int64_t channels = MIN(WIDTH, pitch - c);
        for (int64_t k = 0; k < channels; k++) {
            alpha[k] = job->alpha[c + k];
            scale[k] = 1.0f / job->beta[c + k];
        }
        tile(x + c, y + c, start, MIN(stop, length) - start, length, channels, pitch, alpha, scale, job->taps);
    }
    if (stop > length)
        memset(y + MAX(start, length) * pitch, 0, (size_t)((stop - MAX(start, length)) * pitch) * sizeof(float));
}

static void work(void *data) {
    struct job *job = data;
    for (int64_t item; (item = atomic_fetch_add(&job->next, 1)) < job->batch * job->tiles;)
        one_tile(job, item);
}

static void *work_in_thread(void *data) {
    work(data);
    return 0;
}

#define MOST_THREADS 256

/* x, y (batch, size, channels); alpha, beta (channels,): what is multiplied and divided by; taps (12,), symmetric; lengths
 * (batch,), each at least 1, or null. Behind each length stand zeros. `parallel` is the GOMP_parallel of the runtime
 * that PyTorch uses: its threads are awake already, and a second pool would fight them for the cores. Without it, or
 * with null, threads are started. */
void xcodec2_snake(const float *x, float *y, const float *alpha, const float *beta, const float *taps,
                   const int64_t *lengths, int64_t batch, int64_t size, int64_t channels, int threads,
                   void (*parallel)(void (*)(void *), void *, unsigned, unsigned)) {
    struct job job = {x, alpha, beta, taps, y, lengths, batch, size, channels, (size + TILE - 1) / TILE, 0};
    threads = (int)MIN(MIN(threads, MOST_THREADS), batch * job.tiles);
    if (threads > 1 && parallel) {
        parallel(work, &job, (unsigned)threads, 0);
        return;
    }
    pthread_t others[MOST_THREADS];
    int started = 0;
    while (started < threads - 1 && !pthread_create(&others[started], 0, work_in_thread, &job))
        started++;
    work(&job);
    for (int i = 0; i < started; i++)
        pthread_join(others[i], 0);
}
