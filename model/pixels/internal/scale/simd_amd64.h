#include <stddef.h>
#include <stdint.h>

/* Numbers of scale.go. */
enum { SCALE_IN_GO, SCALE_AVX2, SCALE_AVX512_VNNI };

int scale_best_kernel(void);

/* Each row of src is stride bytes and gives count pixels; in the last one only those before whole. */
void scale_rows(int kernel, uint8_t *dst, const uint8_t *src, size_t stride, int rows, int count, int whole,
	const int32_t *from, const int16_t *taps, int groups);

/* dst may be NULL. */
void scale_columns(int kernel, uint8_t *dst, int32_t *sums, size_t columns, const uint8_t *rows, const int32_t *taps, int count,
	int first);
