/* The folded encoder's block for one instruction set: native.c includes this once for each.

   Expects NAME(f), the function's name for this set; TARGET, its attribute; W, floats in a vector; MAX(a, b).

   Every product here is rows times a panel: PANEL = 2 W columns of the right matrix, stored k rows long side by
   side, so that a step reads two vectors of it and one number of each row. Six rows of results stay in twelve
   registers. Rows of the left matrix are as they lie. */

#define PANEL (2 * W)
#define vec NAME(vec)
#define ivec NAME(ivec)

typedef float vec __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(W * 4), aligned(4), may_alias));

#define ALL(number) ((float)(number) - (vec){0}) /* less zero is nothing; plus zero would be an addition */
#define AT(pointer) (*(vec *)(pointer))
#define CONST_AT(pointer) (*(const vec *)(pointer))

/* sums (ROWS, PANEL) = a (ROWS, k), its rows lda apart, times panel (k, PANEL) */
TARGET static inline __attribute__((always_inline)) void NAME(tile)(
    const float *a, long lda, const float *panel, long k, vec sums[ROWS][2]) {
  for (int r = 0; r < ROWS; r++) sums[r][0] = sums[r][1] = ALL(0);
  for (long i = 0; i < k; i++) {
    const vec low = CONST_AT(panel + i * PANEL), high = CONST_AT(panel + i * PANEL + W);
    for (int r = 0; r < ROWS; r++) {
      const vec one = ALL(a[r * lda + i]);
      sums[r][0] += one * low;
      sums[r][1] += one * high;
    }
  }
}

/* c (rows, n) = a (rows, k) W + bias, or its positive part; w holds W (k, n) in panels; rows counts in ROWS */
TARGET static void NAME(linear)(
    const float *a, long rows, long k, const float *w, const float *bias, long n, int positive, float *c) {
  for (long column = 0; column < n; column += PANEL)
    for (long row = 0; row < rows; row += ROWS) {
      vec sums[ROWS][2];
      NAME(tile)(a + row * k, k, w + column * k, k, sums);
      for (int r = 0; r < ROWS; r++)
        for (int half = 0; half < 2; half++) {
          const long at = column + half * W;
          const vec y = sums[r][half] + CONST_AT(bias + at);
          AT(c + (row + r) * n + at) = positive ? MAX(y, ALL(0)) : y;
        }
    }
}

/* 2^x to a relative error of 1e-7 for x <= 0; what is below 2^-126 becomes 2^-126 */
TARGET static inline __attribute__((always_inline)) vec NAME(power_of_two)(vec x) {
  const vec shift = ALL(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number, in the low bits */
  x = MAX(x, ALL(-126));
  const vec whole = x + shift, rest = x - (whole - shift); /* rest in [-1/2, 1/2] */
  vec power = ALL(1.5403530e-4f);                          /* ln(2)^i / i!, i = 6 to 0 */
  power = power * rest + ALL(1.3333558e-3f);
  power = power * rest + ALL(9.6181291e-3f);
  power = power * rest + ALL(5.5504109e-2f);
  power = power * rest + ALL(2.4022651e-1f);
  power = power * rest + ALL(6.9314718e-1f);
  power = power * rest + ALL(1.0f);
  return (vec)((ivec)power + ((ivec)whole << 23));
}

/* Turns scores (rows, np), in powers of two, into shares of their row times a factor, whose inverse it returns. */
TARGET static void NAME(share)(float *scores, long n, long np, const vec *largest, long rows, float *inverse) {
  for (long r = 0; r < rows; r++) {
    float *row = scores + r * np, most = largest[r][0], whole = 0;
    vec sums[2] = {ALL(0), ALL(0)};
    for (int i = 1; i < W; i++) most = largest[r][i] > most ? largest[r][i] : most;
    for (long k = n; k < np; k++) row[k] = -1e30f; /* keys that only fill the last panel */
    for (long k = 0; k < np; k += PANEL)
      for (int half = 0; half < 2; half++) {
        float *at = row + k + half * W;
        const vec power = NAME(power_of_two)(CONST_AT(at) - ALL(most));
        AT(at) = power;
        sums[half] += power;
      }
    sums[0] += sums[1];
    for (int i = 0; i < W; i++) whole += sums[0][i];
    inverse[r] = 1 / whole;
  }
}

/* out (rows, 96) = softmax of queries (rows, 96) and keys, times keys; received (np), unless it is null, gains the
   sums of the softmax's columns. Keys come in two forms: transposed (96, np) and plain (np, 96), both in panels. */
TARGET static void NAME(attend)(
    const float *queries, long rows, const Keys *keys, float *scores, float *received, float *out) {
  const long n = keys->n, np = keys->np;
  for (long first = 0; first < rows; first += ROWS * GROUPS) {
    const float *block = queries + first * WIDTH;
    const long count = rows - first < ROWS * GROUPS ? rows - first : ROWS * GROUPS;
    float inverse[ROWS * GROUPS];
    vec largest[ROWS * GROUPS], sums[ROWS][2];
    for (long r = 0; r < count; r++) largest[r] = ALL(-3e38f);
    for (long column = 0; column < np; column += PANEL)
      for (long row = 0; row < count; row += ROWS) {
        NAME(tile)(block + row * WIDTH, WIDTH, keys->transposed + column * WIDTH, WIDTH, sums);
        for (int r = 0; r < ROWS; r++)
          for (int half = 0; half < 2; half++) {
            AT(scores + (row + r) * np + column + half * W) = sums[r][half];
            largest[row + r] = MAX(largest[row + r], sums[r][half]);
          }
      }
    NAME(share)(scores, n, np, largest, count, inverse);
    if (received)
      for (long k = 0; k < np; k += W) {
        vec gained = CONST_AT(received + k);
        for (long r = 0; r < count; r++) gained += CONST_AT(scores + r * np + k) * ALL(inverse[r]);
        AT(received + k) = gained;
      }
    for (long column = 0; column < WIDTH; column += PANEL)
      for (long row = 0; row < count; row += ROWS) {
        NAME(tile)(scores + row * np, np, keys->plain + column * np, np, sums);
        for (int r = 0; r < ROWS; r++)
          for (int half = 0; half < 2; half++)
            AT(out + (first + row + r) * WIDTH + column + half * W) = sums[r][half] * ALL(inverse[row + r]);
      }
  }
}

/* out (rows, 96) = LayerNorm of a + b; out may be a or b */
TARGET static void NAME(norm)(
    const float *a, const float *b, long rows, const float *gain, const float *bias, float epsilon, float *out) {
  for (long row = 0; row < rows * WIDTH; row += WIDTH) {
    vec values[WIDTH / W], sum = ALL(0), squares = ALL(0);
    float mean = 0, variance = 0;
    for (int i = 0; i < WIDTH / W; i++) {
      values[i] = CONST_AT(a + row + i * W) + CONST_AT(b + row + i * W);
      sum += values[i];
    }
    for (int i = 0; i < W; i++) mean += sum[i];
    mean /= WIDTH;
    for (int i = 0; i < WIDTH / W; i++) {
      values[i] -= ALL(mean);
      squares += values[i] * values[i];
    }
    for (int i = 0; i < W; i++) variance += squares[i];
    const vec scale = ALL(1 / sqrtf(variance / WIDTH + epsilon));
    for (int i = 0; i < WIDTH / W; i++)
      AT(out + row + i * W) = values[i] * scale * CONST_AT(gain + i * W) + CONST_AT(bias + i * W);
  }
}

/* out rows from to until = the block of x (n, 96); a few tokens at a time, whose queries stay in the caches */
TARGET static void NAME(block)(
    const Layer *layer, const Keys *keys, const float *x, long from, long until, float *work, float *received,
    float *out) {
  const long wide = layer->heads * WIDTH;
  float *queries = work, *mixed = queries + TOKENS * wide, *scores = mixed + TOKENS * wide;
  float *merged = scores + ROWS * GROUPS * keys->np, *middle = merged + TOKENS * WIDTH;
  float *inner = middle + TOKENS * WIDTH;
  for (long token = from; token < until; token += TOKENS) {
    const long count = until - token < TOKENS ? until - token : TOKENS;
    const long rows = (count + ROWS - 1) / ROWS * ROWS; /* x and the work space are that long */
    NAME(linear)(x + token * WIDTH, rows, WIDTH, layer->scores, layer->scores_bias, wide, 0, queries);
    NAME(attend)(queries, count * layer->heads, keys, scores, received, mixed);
    NAME(linear)(mixed, rows, wide, layer->mix, layer->mix_bias, WIDTH, 0, merged);
    NAME(norm)(x + token * WIDTH, merged, rows, layer->gain1, layer->shift1, layer->epsilon, middle);
    NAME(linear)(middle, rows, WIDTH, layer->expand, layer->expand_bias, INNER, 1, inner);
    NAME(linear)(inner, rows, INNER, layer->contract, layer->contract_bias, WIDTH, 0, merged);
    NAME(norm)(middle, merged, count, layer->gain2, layer->shift2, layer->epsilon, out + token * WIDTH);
  }
}

#undef PANEL
#undef vec
#undef ivec
#undef ALL
#undef AT
#undef CONST_AT
