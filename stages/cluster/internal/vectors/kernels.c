#include "vectors.h"

#include <math.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

// Products and sums of which nobody says that they are fused are not. GCC heeds
// -std=c11 for that, Clang the pragma.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

// Rows that share what is loaded of a panel: with the panels their sums, and
// with the rows' addresses the general registers, are just filled.
enum { ROWS = 6 };

// Any processor, and any that has no kernel of its own yet. Where it can fuse,
// fmaf is one instruction, and the compiler finds its vectors.
typedef struct { float v[panel_width]; } plain;

static inline plain plain_load(const float *p) {
	plain r;
	for (int l = 0; l < panel_width; l++) r.v[l] = p[l];
	return r;
}

static inline void plain_store(float *p, plain a) {
	for (int l = 0; l < panel_width; l++) p[l] = a.v[l];
}

static inline plain plain_splat(float s) {
	plain r;
	for (int l = 0; l < panel_width; l++) r.v[l] = s;
	return r;
}

static inline plain plain_fma(plain a, plain b, plain c) {
	plain r;
	for (int l = 0; l < panel_width; l++) r.v[l] = __builtin_fmaf(a.v[l], b.v[l], c.v[l]);
	return r;
}

#define NAME(f) plain_##f
#define TARGET
#define lanes plain
#define ZERO plain_splat(0)
#define LOAD(p) plain_load(p)
#define STORE(p, a) plain_store(p, a)
#define SPLAT(s) plain_splat(s)
#define FMA(a, b, c) plain_fma(a, b, c)
#define PANELS 1
#include "kernel.h"

#ifdef __x86_64__

#define AVX2 __attribute__((target("avx2,fma")))
typedef struct { __m256 low, high; } pair256;

AVX2 static inline pair256 pair256_load(const float *p) {
	return (pair256){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

AVX2 static inline void pair256_store(float *p, pair256 a) {
	_mm256_storeu_ps(p, a.low);
	_mm256_storeu_ps(p + 8, a.high);
}

AVX2 static inline pair256 pair256_splat(float s) {
	__m256 v = _mm256_set1_ps(s);
	return (pair256){v, v};
}

AVX2 static inline pair256 pair256_fma(pair256 a, pair256 b, pair256 c) {
	return (pair256){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

#define NAME(f) avx2_##f
#define TARGET AVX2
#define lanes pair256
#define ZERO pair256_splat(0)
#define LOAD(p) pair256_load(p)
#define STORE(p, a) pair256_store(p, a)
#define SPLAT(s) pair256_splat(s)
#define FMA(a, b, c) pair256_fma(a, b, c)
#define PANELS 1
#include "kernel.h"

#define NAME(f) avx512_##f
#define TARGET __attribute__((target("avx512f,avx512vl")))
#define lanes __m512
#define ZERO _mm512_setzero_ps()
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, a) _mm512_storeu_ps(p, a)
#define SPLAT(s) _mm512_set1_ps(s)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define PANELS 4
#include "kernel.h"

int vectors_has(int kernel) {
	switch (kernel) {
	case kernel_avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	case kernel_avx512: return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
	}
	return kernel == kernel_plain;
}

#define RUN(call) \
	switch (kernel) { \
	case kernel_avx512: avx512_##call; break; \
	case kernel_avx2: avx2_##call; break; \
	default: plain_##call; \
	}

#else

int vectors_has(int kernel) { return kernel == kernel_plain; }

#define RUN(call) plain_##call;

#endif

void vectors_nearest(int kernel, const float *a, const float *b, const float *c, const float *d, int first, int dim,
                     const float *x, const int *rows, int n, float *best, int *at) {
	const float *panel[panels_most] = {a, b, c, d};
	int panels = 0;
	while (panels < panels_most && panel[panels]) panels++;
	if (first == 0)
		for (long i = 0; i < (long)panel_width * n; i++) best[i] = -INFINITY;
	RUN(nearest(panel, panels, first, dim, x, rows, n, best, at))
}

void vectors_norms(int kernel, const float *x, int dim, int n, float *out) { RUN(norms(x, dim, n, out)) }

void vectors_add(int kernel, double *sum, const float *x, int dim) { RUN(add(sum, x, dim)) }

void vectors_move(int kernel, float *mean, const double *sum, const float *old, double by, double weight, int dim) {
	RUN(move(mean, sum, old, by, weight, dim))
}
