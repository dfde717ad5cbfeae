/* The folded PAT encoder by hand: scores live in the caches, never in memory (pat_runner/engines/native.py).

   One source for every instruction set, written in the vector extension of GCC and Clang; which set is used is decided
   by the processor it runs on. No state, no allocation, no threads: the caller owns all memory and may call from
   several threads with work spaces of their own. */

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define WIDTH 96  /* of the model, and of every head's queries, keys and values */
#define INNER 256 /* of the feed-forward layer */
#define ROWS 6    /* of results in registers; heads times tokens is a multiple of it in every size of PAT */
#define GROUPS 4  /* of ROWS queries that share a pass over the keys */
#define TOKENS 24 /* whose queries are made and used up together */

/* Matrices (in, out) in panels, vectors as they are. The scores' matrix and bias are times log2(e). */
typedef struct {
  long heads;
  float epsilon;
  const float *scores, *scores_bias, *mix, *mix_bias, *expand, *expand_bias, *contract, *contract_bias;
  const float *gain1, *shift1, *gain2, *shift2;
} Layer;

/* n keys, filled up to np, a multiple of the panel. */
typedef struct {
  long n, np;
  float *transposed, *plain;
} Keys;

#define SELECTED_MAX(a, b) ((vec)((((a) > (b)) & (ivec)(a)) | (~((a) > (b)) & (ivec)(b))))

#define TARGET
#define NAME(f) f##_any
#define W 4
#define MAX SELECTED_MAX
#include "native_body.h"
#undef TARGET
#undef NAME
#undef W
#undef MAX

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(f) f##_avx2
#define W 8
#define MAX(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#include "native_body.h"
#undef TARGET
#undef NAME
#undef W
#undef MAX

#define TARGET __attribute__((target("avx512f")))
#define NAME(f) f##_avx512
#define W 16
#define MAX(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#include "native_body.h"
#endif

typedef void (*Linear)(const float *, long, long, const float *, const float *, long, int, float *);
typedef void (*Block)(const Layer *, const Keys *, const float *, long, long, float *, float *, float *);

typedef struct {
  const char *name;
  long panel;
  Linear linear;
  Block block;
} Set;

static const Set SETS[] = {
#if defined(__x86_64__)
    {"avx512", 32, linear_avx512, block_avx512},
    {"avx2", 16, linear_avx2, block_avx2},
#endif
    {"any", 8, linear_any, block_any},
};

static int runs_here(int set) {
#if defined(__x86_64__)
  if (set == 0) return __builtin_cpu_supports("avx512f");
  if (set == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  (void)set;
#endif
  return 1;
}

/* The name of instruction set number `set`, the fastest first; null past the last, "" if this processor lacks it. */
const char *pat_set(int set) {
  if (set < 0 || set >= (int)(sizeof SETS / sizeof *SETS)) return 0;
  return runs_here(set) ? SETS[set].name : "";
}

long pat_panel(int set) { return SETS[set].panel; }

/* Floats of work space that a call of pat_block needs. */
long pat_work(long heads, long np) {
  return TOKENS * (2 * heads * WIDTH + 2 * WIDTH + INNER) + ROWS * GROUPS * np;
}

void pat_linear(int set, const float *a, long rows, long k, const float *w, const float *bias, long n, int positive,
                float *c) {
  SETS[set].linear(a, rows, k, w, bias, n, positive, c);
}

/* Keys of x (n, 96) in both forms; what fills them up is zero. */
void pat_keys(int set, const float *x, Keys *keys) {
  const long panel = SETS[set].panel, n = keys->n, np = keys->np;
  for (long first = 0; first < np; first += panel)
    for (long i = 0; i < WIDTH; i++)
      for (long j = 0; j < panel; j++)
        keys->transposed[first * WIDTH + i * panel + j] = first + j < n ? x[(first + j) * WIDTH + i] : 0;
  for (long column = 0; column < WIDTH; column += panel)
    for (long key = 0; key < np; key++)
      for (long j = 0; j < panel; j++)
        keys->plain[column * np + key * panel + j] = key < n ? x[key * WIDTH + column + j] : 0;
}

void pat_block(int set, const Layer *layer, const Keys *keys, const float *x, long from, long until, float *work,
               float *received, float *out) {
  SETS[set].block(layer, keys, x, from, until, work, received, out);
}
