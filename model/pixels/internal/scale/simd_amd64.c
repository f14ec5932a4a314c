#include "simd_amd64.h"

#include <immintrin.h>
#include <string.h>

#define PRECISION 22
#define HALF (1 << (PRECISION - 1))
#define LOW_BITS 11
#define LOW_MASK ((1 << LOW_BITS) - 1)
/* Sums in registers, not in an array: clang sees that by itself. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

/* Four bytes of an SSE register, of which i says. */
#define store_4(to, from, i) \
	do { \
		uint32_t four = (uint32_t)_mm_extract_epi32(from, i); \
		memcpy(to, &four, 4); \
	} while (0)

#define NAMED(x) x##_avx2
#define TARGET __attribute__((target("avx2")))
#define MULTIPLY_ADD(sums, a, b) _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))
#include "kernels.h"
#undef NAMED
#undef TARGET
#undef MULTIPLY_ADD

#define NAMED(x) x##_avx512_vnni
#define TARGET __attribute__((target("avx2,avx512f,avx512vl,avx512vnni")))
#define MULTIPLY_ADD(sums, a, b) _mm256_dpwssd_epi32(sums, a, b)
#include "kernels.h"

int scale_best_kernel(void) {
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2"))
		return SCALE_IN_GO;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
		return SCALE_AVX512_VNNI;
	return SCALE_AVX2;
}

void scale_rows(int kernel, uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int whole,
	const int32_t *from, const int16_t *taps, int groups) {
	if (kernel == SCALE_AVX512_VNNI)
		rows_avx512_vnni(dst, src, stride, rows, count, whole, from, taps, groups);
	else
		rows_avx2(dst, src, stride, rows, count, whole, from, taps, groups);
}

void scale_columns(int kernel, uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int32_t *taps, int count,
	int first) {
	if (kernel == SCALE_AVX512_VNNI)
		columns_avx512_vnni(dst, sums, columns, rows, taps, count, first);
	else
		columns_avx2(dst, sums, columns, rows, taps, count, first);
}
