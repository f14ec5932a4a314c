#include <stddef.h>
#include <stdint.h>

/* Those of scale.go. */
#define PRECISION 22
#define HALF (1 << (PRECISION - 1))
enum { SCALE_IN_GO, SCALE_AVX2, SCALE_AVX512 };
enum { SCALE_ROWS_AT_ONCE = 16 };

#define INLINE static inline __attribute__((always_inline))
/* For sums in registers, not in an array: clang sees that by itself. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

static inline int scale_best_kernel(void) {
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2")) return SCALE_IN_GO;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512vnni")) return SCALE_AVX512;
	return SCALE_AVX2;
}

/* Each row of src is stride bytes and gives count pixels; in the last one only those before whole. The taps of a pixel come in
 * groups of four, first their high parts and then the low ones. */
void scale_rows_avx2(uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int whole, const int32_t *from,
	const int16_t *taps, int groups);

/* rows is a multiple of SCALE_ROWS_AT_ONCE. Four pixels that begin at a fourth one are a quad: all of them, from the one called
 * first, are used. Each pixel is made of some of these, and has three times four digits for every one. room is 192 bytes a quad,
 * and 63 more. */
void scale_rows_avx512(uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int first, int all,
	const int32_t *from, const int32_t *quads, const int8_t *digits, uint8_t *room);

/* Columns from x on; dst may be NULL. */
void scale_columns_avx2(uint8_t *dst, int32_t *sums, size_t columns, size_t x, const uint8_t *rows, const int32_t *taps, int count,
	int first);

void scale_columns_avx512(uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int32_t *taps, int count, int first);
