#include "simd_amd64.h"

#include <immintrin.h>
#include <string.h>

/* A tap is three signed digits of 8 bits, and a sum of four products of bytes is one instruction. So that nothing has to be
 * added across a register, its 16 sums are those of 16 rows. */

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

#define ROWS SCALE_ROWS_AT_ONCE

/* All of 16 bytes, or where a row has no more of them, some and zeros. */
INLINE TARGET __m128i load(const uint8_t *p, size_t left) {
	return left < 16 ? _mm_maskz_loadu_epi8((__mmask16)((1u << left) - 1), p) : _mm_loadu_si128((const __m128i *)p);
}

/* Four pixels of 16 rows become red, green and blue: of each, four bytes a row. */
INLINE TARGET void turn(__m512i *planes, const uint8_t *src, size_t stride, size_t left) {
	const __m512i apart = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
	__m512i rows[4]; /* every fourth, from each of the first */
	UNROLL
	for (int r = 0; r < 4; r++, src += stride)
		rows[r] = _mm512_castsi128_si512(load(src, left));
	UNROLL
	for (int r = 0; r < 4; r++, src += stride)
		rows[r] = _mm512_inserti32x4(rows[r], load(src, left), 1);
	UNROLL
	for (int r = 0; r < 4; r++, src += stride)
		rows[r] = _mm512_inserti32x4(rows[r], load(src, left), 2);
	UNROLL
	for (int r = 0; r < 4; r++, src += stride)
		rows[r] = _mm512_shuffle_epi8(_mm512_inserti32x4(rows[r], load(src, left), 3), apart);
	__m512i red_green_01 = _mm512_unpacklo_epi32(rows[0], rows[1]), red_green_23 = _mm512_unpacklo_epi32(rows[2], rows[3]);
	__m512i blue_01 = _mm512_unpackhi_epi32(rows[0], rows[1]), blue_23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
	planes[0] = _mm512_unpacklo_epi64(red_green_01, red_green_23);
	planes[1] = _mm512_unpackhi_epi64(red_green_01, red_green_23);
	planes[2] = _mm512_unpacklo_epi64(blue_01, blue_23);
}

INLINE TARGET __m512i all_have(const int8_t *four) {
	int32_t digits;
	memcpy(&digits, four, 4);
	return _mm512_set1_epi32(digits);
}

INLINE TARGET __m512i together(const __m512i *digits) {
	__m512i upper = _mm512_add_epi32(digits[1], _mm512_slli_epi32(digits[2], 8));
	return _mm512_add_epi32(digits[0], _mm512_slli_epi32(upper, 8));
}

/* One pixel of 16 rows, in four bytes each, from quads times four. */
INLINE TARGET __m512i pixel(const __m512i *planes, const int8_t *digits, int quads) {
	__m512i sums[3][3];
	UNROLL
	for (int c = 0; c < 3; c++) {
		sums[c][0] = _mm512_set1_epi32(HALF);
		sums[c][1] = sums[c][2] = _mm512_setzero_si512();
	}
	for (int q = 0; q < quads; q++, planes += 3, digits += 12) {
		UNROLL
		for (int c = 0; c < 3; c++) {
			UNROLL
			for (int d = 0; d < 3; d++)
				sums[c][d] = _mm512_dpbusd_epi32(sums[c][d], planes[c], all_have(digits + 4 * d));
		}
	}
	__m512i out[3];
	UNROLL
	for (int c = 0; c < 3; c++) {
		__m512i sum = _mm512_srai_epi32(together(sums[c]), PRECISION);
		out[c] = _mm512_min_epi32(_mm512_max_epi32(sum, _mm512_setzero_si512()), _mm512_set1_epi32(255));
	}
	return _mm512_or_si512(out[0], _mm512_or_si512(_mm512_slli_epi32(out[1], 8), _mm512_slli_epi32(out[2], 16)));
}

/* Writes n pixels, at most four, of 16 rows. */
INLINE TARGET void store(uint8_t *dst, size_t stride, const __m512i *pixels, int n) {
	const __m512i close = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
	__mmask16 bytes = (__mmask16)((1u << (3 * n)) - 1);
	__m512i lower_01 = _mm512_unpacklo_epi32(pixels[0], pixels[1]), lower_23 = _mm512_unpacklo_epi32(pixels[2], pixels[3]);
	__m512i upper_01 = _mm512_unpackhi_epi32(pixels[0], pixels[1]), upper_23 = _mm512_unpackhi_epi32(pixels[2], pixels[3]);
	__m512i rows[4] = {
		_mm512_unpacklo_epi64(lower_01, lower_23), _mm512_unpackhi_epi64(lower_01, lower_23),
		_mm512_unpacklo_epi64(upper_01, upper_23), _mm512_unpackhi_epi64(upper_01, upper_23)};
	UNROLL
	for (int r = 0; r < 4; r++, dst += stride) {
		__m512i four = _mm512_shuffle_epi8(rows[r], close);
		_mm_mask_storeu_epi8(dst, bytes, _mm512_castsi512_si128(four));
		_mm_mask_storeu_epi8(dst + 4 * stride, bytes, _mm512_extracti32x4_epi32(four, 1));
		_mm_mask_storeu_epi8(dst + 8 * stride, bytes, _mm512_extracti32x4_epi32(four, 2));
		_mm_mask_storeu_epi8(dst + 12 * stride, bytes, _mm512_extracti32x4_epi32(four, 3));
	}
}

TARGET void scale_rows_avx512(uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int first, int all,
	const int32_t *from, const int32_t *quads, const int8_t *digits, uint8_t *room) {
	__m512i *planes = (__m512i *)(((uintptr_t)room + 63) & ~(uintptr_t)63);
	size_t dst_stride = 3 * (size_t)count;
	for (; rows >= ROWS; rows -= ROWS, src += ROWS * stride, dst += ROWS * dst_stride) {
		for (int q = 0; q < all; q++) {
			size_t at = 12 * (size_t)(first + q);
			if (stride - at >= 16)
				turn(planes + 3 * q, src + at, stride, 16);
			else
				turn(planes + 3 * q, src + at, stride, stride - at);
		}
		const int8_t *d = digits;
		for (int x = 0; x < count; x += 4) {
			int n = count - x < 4 ? count - x : 4;
			__m512i pixels[4];
			UNROLL
			for (int i = 0; i < 4; i++) {
				int have = i < n ? quads[x + i] : 0;
				pixels[i] = pixel(planes + (have ? 3 * from[x + i] : 0), d, have);
				d += 12 * have;
			}
			store(dst + 3 * (size_t)x, dst_stride, pixels, n);
		}
	}
}

/* The digits of n taps, at most four: the lowest of all, then the middle, then the upper. */
static void split(int8_t *digits, const int32_t *taps, int n) {
	for (int i = 0; i < 4; i++) {
		int32_t tap = i < n ? taps[i] : 0;
		for (int d = 0; d < 3; d++) {
			digits[4 * d + i] = (int8_t)tap;
			tap = (tap - digits[4 * d + i]) >> 8;
		}
	}
}

/* 64 columns of at most ROWS rows. The sums lie as they come from the interleaving of bytes, and packing puts them in order. */
INLINE TARGET void some_columns(uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int8_t *digits, int count,
	int first) {
	__m512i sum[4][3];
	UNROLL
	for (int i = 0; i < 4; i++) {
		sum[i][0] = first ? _mm512_set1_epi32(HALF) : _mm512_loadu_si512(sums + 16 * i);
		sum[i][1] = sum[i][2] = _mm512_setzero_si512();
	}
	for (int r = 0; r < count; r += 4, rows += 4 * columns, digits += 12) {
		/* Where there are no four, the last one has digits of nothing. */
		size_t past = count - r < 4 ? count - r - 1 : 3;
		__m512i a = _mm512_loadu_si512(rows), b = _mm512_loadu_si512(rows + (past < 1 ? past : 1) * columns);
		__m512i c = _mm512_loadu_si512(rows + (past < 2 ? past : 2) * columns), d = _mm512_loadu_si512(rows + past * columns);
		__m512i ab_left = _mm512_unpacklo_epi8(a, b), ab_right = _mm512_unpackhi_epi8(a, b);
		__m512i cd_left = _mm512_unpacklo_epi8(c, d), cd_right = _mm512_unpackhi_epi8(c, d);
		__m512i four[4] = {
			_mm512_unpacklo_epi16(ab_left, cd_left), _mm512_unpackhi_epi16(ab_left, cd_left),
			_mm512_unpacklo_epi16(ab_right, cd_right), _mm512_unpackhi_epi16(ab_right, cd_right)};
		UNROLL
		for (int i = 0; i < 4; i++) {
			UNROLL
			for (int j = 0; j < 3; j++)
				sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], four[i], all_have(digits + 4 * j));
		}
	}
	__m512i out[4];
	UNROLL
	for (int i = 0; i < 4; i++) {
		out[i] = together(sum[i]);
		if (!dst) _mm512_storeu_si512(sums + 16 * i, out[i]);
		out[i] = _mm512_srai_epi32(out[i], PRECISION);
	}
	if (dst)
		_mm512_storeu_si512(dst, _mm512_packus_epi16(_mm512_packs_epi32(out[0], out[1]), _mm512_packs_epi32(out[2], out[3])));
}

TARGET void scale_columns_avx512(uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int32_t *taps, int count,
	int first) {
	size_t whole = columns - columns % 64;
	scale_columns_avx2(dst, sums, columns, whole, rows, taps, count, first);
	for (int n; count > 0; count -= n, taps += n, rows += n * columns, first = 0) {
		int8_t digits[3 * ROWS];
		n = count < ROWS ? count : ROWS;
		for (int r = 0; r < n; r += 4)
			split(digits + 3 * r, taps + r, n - r);
		for (size_t x = 0; x < whole; x += 64)
			some_columns(dst && n == count ? dst + x : NULL, sums + x, columns, rows + x, digits, n, first);
	}
}
