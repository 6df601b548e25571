/* Products of rows with one panel of weights, for vectors of LANES numbers. llama.c includes this once for each width
 * that a processor may have, with NAME(x) for names and TARGET for the instructions.
 *
 * Every output is added up over its inputs in order, CHUNK of them at a time: it does not depend on the width, nor on
 * how many rows there are.
 */

typedef float NAME(v) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t NAME(u) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t NAME(h) __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

#define VECTOR NAME(v)
#define VECTORS (PANEL / LANES)
#define PART (2 * LANES) /* outputs of a panel that are multiplied with many rows at once */

TARGET INLINE VECTOR NAME(weights)(const void *weight, int64_t index, int type) {
    if (type == FLOAT32)
        return *(const VECTOR *)((const float *)weight + index);
    if (type == INT8)
        return FROM_BYTES((const int8_t *)weight + index);
    const uint16_t *half = (const uint16_t *)weight + index;
    if (type == BFLOAT16)
        return (VECTOR)(__builtin_convertvector(*(const NAME(h) *)half, NAME(u)) << 16);
    return FROM_HALF(half);
}

/* One row with a panel: y[PANEL]. */
TARGET INLINE void NAME(one_row)(const void *weight, int type, const float *x, int64_t in, float *y) {
    VECTOR sums[VECTORS] = {0};
    int size = type == FLOAT32 ? 4 : type == INT8 ? 1 : 2;
    for (int64_t from = 0; from < in; from += CHUNK) {
        int64_t to = MIN(from + CHUNK, in);
        VECTOR chunk[VECTORS] = {0};
        for (int64_t k = from; k < to; k++) {
            const char *ahead = (const char *)weight + k * PANEL * size + AHEAD;
            for (int i = 0; i < PANEL * size; i += 64)
                __builtin_prefetch(ahead + i);
            for (int i = 0; i < VECTORS; i++)
                chunk[i] += NAME(weights)(weight, k * PANEL + LANES * i, type) * x[k];
        }
        for (int i = 0; i < VECTORS; i++)
            sums[i] += chunk[i];
    }
    for (int i = 0; i < VECTORS; i++)
        *(VECTOR *)(y + LANES * i) = sums[i];
}

/* `rows` rows, at most ROWS, with PART outputs of one chunk, added to y (…, PANEL). */
TARGET INLINE void NAME(part)(const float *weight, const float *x, int64_t pitch, int64_t count, float *y, int rows) {
    VECTOR sums[ROWS][2] = {0};
    for (int64_t k = 0; k < count; k++) {
        VECTOR first = *(const VECTOR *)(weight + k * PART), second = *(const VECTOR *)(weight + k * PART + LANES);
        for (int r = 0; r < rows; r++) {
            sums[r][0] += first * x[r * pitch + k];
            sums[r][1] += second * x[r * pitch + k];
        }
    }
    for (int r = 0; r < rows; r++) {
        *(VECTOR *)(y + r * PANEL) += sums[r][0];
        *(VECTOR *)(y + r * PANEL + LANES) += sums[r][1];
    }
}

/* `rows` rows, at most BLOCK, with a panel: y (rows, PANEL). */
TARGET INLINE void NAME(many_rows)(const void *weight, int type, const float *x, int64_t rows, int64_t in, float *y) {
    float part[CHUNK * PART] __attribute__((aligned(64)));
    memset(y, 0, (size_t)(rows * PANEL) * sizeof(float));
    for (int64_t from = 0; from < in; from += CHUNK) {
        int64_t count = MIN(CHUNK, in - from);
        for (int p = 0; p < PANEL; p += PART) {
            for (int64_t k = 0; k < count; k++) {
                int64_t at = (from + k) * PANEL + p;
                *(VECTOR *)(part + k * PART) = NAME(weights)(weight, at, type);
                *(VECTOR *)(part + k * PART + LANES) = NAME(weights)(weight, at + LANES, type);
            }
            for (int64_t r = 0; r < rows; r += ROWS) {
                const float *some = x + r * in + from;
                float *to = y + r * PANEL + p;
                switch (MIN(ROWS, rows - r)) {
                case 8: NAME(part)(part, some, in, count, to, MIN(ROWS, 8)); break;
                case 7: NAME(part)(part, some, in, count, to, MIN(ROWS, 7)); break;
                case 6: NAME(part)(part, some, in, count, to, 6); break;
                case 5: NAME(part)(part, some, in, count, to, 5); break;
                case 4: NAME(part)(part, some, in, count, to, 4); break;
                case 3: NAME(part)(part, some, in, count, to, 3); break;
                case 2: NAME(part)(part, some, in, count, to, 2); break;
                default: NAME(part)(part, some, in, count, to, 1);
                }
            }
        }
    }
}

/* `rows` rows, at most BLOCK, with a panel: y (rows, PANEL). */
TARGET static void NAME(panel)(const void *weight, int type, const float *x, int64_t rows, int64_t in, float *y) {
    if (rows == 1 && type == FLOAT32)
        NAME(one_row)(weight, FLOAT32, x, in, y);
    else if (rows == 1 && type == FLOAT16)
        NAME(one_row)(weight, FLOAT16, x, in, y);
    else if (rows == 1 && type == INT8)
        NAME(one_row)(weight, INT8, x, in, y);
    else if (rows == 1)
        NAME(one_row)(weight, BFLOAT16, x, in, y);
    else if (type == FLOAT32)
        NAME(many_rows)(weight, FLOAT32, x, rows, in, y);
    else if (type == FLOAT16)
        NAME(many_rows)(weight, FLOAT16, x, rows, in, y);
    else if (type == INT8)
        NAME(many_rows)(weight, INT8, x, rows, in, y);
    else
        NAME(many_rows)(weight, BFLOAT16, x, rows, in, y);
}

#undef VECTOR
#undef VECTORS
#undef PART
