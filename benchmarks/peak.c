/* What one core can do at most: multiply-adds that never leave its registers, as GFLOP/s by CPU time.

   Prints one line per arithmetic that this processor has: "fp32 102.5", "bf16 210.0".
   cc -O3 -o peak peak.c && ./peak */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define CHAINS 12            /* independent sums: more than latency times units */
#define STEPS 200000000L

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void report(const char *name, double flop, double seconds, float keep) {
  if (keep != 0.5f) printf("%s %.2f\n", name, flop / seconds * 1e-9); /* uses the sums, or they vanish */
}

__attribute__((target("avx2,fma"))) static void avx2(void) {
  __m256 sum[CHAINS], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(1e-9f);
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_ps(1.0f + i);
  double began = cpu_seconds();
  for (long k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_fmadd_ps(sum[i], factor, term);
  double seconds = cpu_seconds() - began;
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  report("fp32", (double)STEPS * CHAINS * 16, seconds, _mm256_cvtss_f32(sum[0]));
}

__attribute__((target("avx512f"))) static void avx512(void) {
  __m512 sum[CHAINS], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1e-9f);
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps(1.0f + i);
  double began = cpu_seconds();
  for (long k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_fmadd_ps(sum[i], factor, term);
  double seconds = cpu_seconds() - began;
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  report("fp32", (double)STEPS * CHAINS * 32, seconds, _mm512_cvtss_f32(sum[0]));
}

__attribute__((target("avx512f,avx512bf16"))) static void avx512_bf16(void) {
  __m512 sum[CHAINS];
  __m512bh one = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(1e-3f));
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps(1.0f + i);
  double began = cpu_seconds();
  for (long k = 0; k < STEPS; k++)
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], one, one);
  double seconds = cpu_seconds() - began;
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  report("bf16", (double)STEPS * CHAINS * 64, seconds, _mm512_cvtss_f32(sum[0]));
}

int main(void) {
  if (__builtin_cpu_supports("avx512f")) avx512();
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) avx2();
  if (__builtin_cpu_supports("avx512bf16")) avx512_bf16();
  return 0;
}
