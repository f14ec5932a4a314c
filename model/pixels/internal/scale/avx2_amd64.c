#include "simd_amd64.h"

#include <immintrin.h>
#include <string.h>

/* A tap of 23 bits and a sign is two 16-bit ones, high * 2^LOW_BITS + low, and so is every sum. They meet in 32 bits before they
 * are rounded, as if there had been one. */

#define TARGET __attribute__((target("avx2")))
#define LOW_BITS 11
#define LOW_MASK ((1 << LOW_BITS) - 1)

/* Adds to each 32-bit sum the products of two pairs of 16-bit numbers. */
INLINE TARGET __m256i multiply_add(__m256i sums, __m256i a, __m256i b) {
	return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
}

INLINE TARGET __m256i together(__m256i high, __m256i low) {
	return _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);
}

/* Four bytes of an SSE register, of which i says. */
#define store_4(to, from, i) \
	do { \
		uint32_t four = (uint32_t)_mm_extract_epi32(from, i); \
		memcpy(to, &four, 4); \
	} while (0)

/* Pixels [begin, end) of n rows, n at most 4 and known to the compiler. Four taps are done at once, so 16 bytes are read at each
 * fourth pixel of a span; a pixel is written as four bytes, unless it is the last. */
INLINE TARGET void pixels(int n, uint8_t *dst, size_t dst_stride, const uint8_t *src, size_t src_stride, int begin, int end,
	const int32_t *from, const int16_t *taps, int groups) {
	/* Of 16 bytes: red of two pixels as 16 bits each, green, blue and nothing; then two more pixels. */
	const __m256i widen = _mm256_setr_epi8(
		0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
		6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
	const __m256i two_and_two = _mm256_setr_epi32(
		0x03020100, 0x03020100, 0x03020100, 0x03020100, 0x07060504, 0x07060504, 0x07060504, 0x07060504);
	const __m256i other_half = _mm256_add_epi8(two_and_two, _mm256_set1_epi8(8));

	taps += (size_t)begin * groups * 8;
	for (int x = begin; x < end; x++) {
		const uint8_t *p = src + from[x];
		__m256i high[4], low[4];
		UNROLL
		for (int r = 0; r < n; r++) {
			high[r] = _mm256_setzero_si256();
			low[r] = _mm256_setr_epi32(HALF, HALF, HALF, HALF, 0, 0, 0, 0);
		}
		for (int g = 0; g < groups; g++, p += 12, taps += 8) {
			__m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)taps));
			__m256i high_taps = _mm256_shuffle_epi8(both, two_and_two);
			__m256i low_taps = _mm256_shuffle_epi8(both, other_half);
			UNROLL
			for (int r = 0; r < n; r++) {
				__m128i bytes = _mm_loadu_si128((const __m128i *)(p + r * src_stride));
				__m256i four = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), widen);
				high[r] = multiply_add(high[r], four, high_taps);
				low[r] = multiply_add(low[r], four, low_taps);
			}
		}
		__m128i sums[4];
		UNROLL
		for (int r = 0; r < n; r++) {
			__m256i all = together(high[r], low[r]);
			sums[r] = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
			sums[r] = _mm_srai_epi32(sums[r], PRECISION);
		}
		UNROLL
		for (int r = n; r < 4; r++)
			sums[r] = sums[0];
		__m128i out = _mm_packus_epi16(_mm_packs_epi32(sums[0], sums[1]), _mm_packs_epi32(sums[2], sums[3]));
		uint8_t *to = dst + 3 * (size_t)x;
		if (x + 1 < end) {
			store_4(to, out, 0);
			if (n == 4) {
				store_4(to + dst_stride, out, 1);
				store_4(to + 2 * dst_stride, out, 2);
				store_4(to + 3 * dst_stride, out, 3);
			}
		} else {
			uint8_t pixel[16];
			_mm_storeu_si128((__m128i *)pixel, out);
			for (int r = 0; r < n; r++, to += dst_stride)
				memcpy(to, pixel + 4 * r, 3);
		}
	}
}

TARGET void scale_rows_avx2(uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int whole,
	const int32_t *from, const int16_t *taps, int groups) {
	size_t dst_stride = 3 * (size_t)count;
	for (int n; rows > 0; rows -= n, src += n * stride, dst += n * dst_stride) {
		n = rows < 4 ? 1 : 4;
		int end = rows > n ? count : whole;
		if (n == 4)
			pixels(4, dst, dst_stride, src, stride, 0, end, from, taps, groups);
		else
			pixels(1, dst, dst_stride, src, stride, 0, end, from, taps, groups);
		for (int r = 0; r < n - 1; r++)
			pixels(1, dst + r * dst_stride, dst_stride, src + r * stride, stride, end, count, from, taps, groups);
	}
}

/* Columns [x, x + 16 n) of two rows: sums of the high and of the low parts. */
INLINE TARGET void add_two(int n, __m256i *high, __m256i *low, const uint8_t *a, const uint8_t *b, int32_t a_tap, int32_t b_tap) {
	__m256i high_taps = _mm256_set1_epi32((int32_t)((uint32_t)(b_tap >> LOW_BITS) << 16 | (uint16_t)(a_tap >> LOW_BITS)));
	__m256i low_taps = _mm256_set1_epi32((b_tap & LOW_MASK) << 16 | (a_tap & LOW_MASK));
	UNROLL
	for (int i = 0; i < n; i++) {
		__m128i ones = _mm_loadu_si128((const __m128i *)(a + 16 * i)), others = _mm_loadu_si128((const __m128i *)(b + 16 * i));
		__m256i left = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(ones, others));
		__m256i right = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(ones, others));
		high[2 * i] = multiply_add(high[2 * i], left, high_taps);
		low[2 * i] = multiply_add(low[2 * i], left, low_taps);
		high[2 * i + 1] = multiply_add(high[2 * i + 1], right, high_taps);
		low[2 * i + 1] = multiply_add(low[2 * i + 1], right, low_taps);
	}
}

/* As many columns as n times 16, n at most 2 and known to the compiler. */
INLINE TARGET void some_columns(int n, uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int32_t *taps,
	int count, int first) {
	__m256i high[4], low[4];
	UNROLL
	for (int i = 0; i < 2 * n; i++) {
		high[i] = _mm256_setzero_si256();
		low[i] = first ? _mm256_set1_epi32(HALF) : _mm256_loadu_si256((const __m256i *)sums + i);
	}
	int t = 0;
	for (; t + 2 <= count; t += 2, rows += 2 * columns)
		add_two(n, high, low, rows, rows + columns, taps[t], taps[t + 1]);
	if (t < count)
		add_two(n, high, low, rows, rows, taps[t], 0);
	UNROLL
	for (int i = 0; i < n; i++) {
		__m256i left = together(high[2 * i], low[2 * i]), right = together(high[2 * i + 1], low[2 * i + 1]);
		if (dst) {
			__m256i out = _mm256_packs_epi32(_mm256_srai_epi32(left, PRECISION), _mm256_srai_epi32(right, PRECISION));
			out = _mm256_permute4x64_epi64(out, 0xd8); /* packs_epi32 keeps to its halves */
			_mm_storeu_si128((__m128i *)dst + i, _mm_packus_epi16(_mm256_castsi256_si128(out), _mm256_extracti128_si256(out, 1)));
		} else {
			_mm256_storeu_si256((__m256i *)sums + 2 * i, left);
			_mm256_storeu_si256((__m256i *)sums + 2 * i + 1, right);
		}
	}
}

TARGET void scale_columns_avx2(uint8_t *dst, int32_t *sums, size_t columns, size_t x, const uint8_t *rows, const int32_t *taps,
	int count, int first) {
	for (; x + 32 <= columns; x += 32)
		some_columns(2, dst ? dst + x : NULL, sums + x, columns, rows + x, taps, count, first);
	for (; x + 16 <= columns; x += 16)
		some_columns(1, dst ? dst + x : NULL, sums + x, columns, rows + x, taps, count, first);
	for (; x < columns; x++) {
		uint32_t sum = first ? HALF : (uint32_t)sums[x];
		for (int t = 0; t < count; t++)
			sum += rows[t * columns + x] * (uint32_t)taps[t];
		if (dst) {
			int32_t rounded = (int32_t)sum >> PRECISION;
			dst[x] = (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
		} else {
			sums[x] = (int32_t)sum;
		}
	}
}
