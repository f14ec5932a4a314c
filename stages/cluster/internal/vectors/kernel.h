// The arithmetic, once for all processors. kernels.c includes it for each with
//   NAME(f)          f's name for this processor
//   TARGET           what its functions may use
//   lanes            16 floats
//   ZERO, LOAD(p), STORE(p, v), SPLAT(s), FMA(a, b, c)
//   PANELS           how many panels fit its registers beside ROWS rows

#define INLINE static inline __attribute__((always_inline)) TARGET

// tile multiplies ROWS rows by some panels. Without full unrolling the sums
// would not stay in registers.
INLINE void NAME(tile)(int panels, const float *const *panel, int first, int dim,
                       const float *const *x, int rows, float *best, int *at) {
	lanes sum[ROWS][PANELS];
#pragma GCC unroll 8
	for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++) sum[r][p] = ZERO;
	for (long i = 0; i < dim; i++) {
		lanes c[PANELS];
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++) c[p] = LOAD(panel[p] + panel_width * i);
#pragma GCC unroll 8
		for (int r = 0; r < ROWS; r++) {
			lanes v = SPLAT(x[r][i]);
#pragma GCC unroll 4
			for (int p = 0; p < panels; p++) sum[r][p] = FMA(v, c[p], sum[r][p]);
		}
	}
	float s[ROWS][PANELS][panel_width];
#pragma GCC unroll 8
	for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++) STORE(s[r][p], sum[r][p]);
	for (int r = 0; r < rows; r++) {
		float *b = best + panel_width * r;
		int *a = at + panel_width * r;
		for (int p = 0; p < panels; p++) {
			const float *half = panel[p] + (long)panel_width * dim;
			int number = first + panel_width * p;
			for (int l = 0; l < panel_width; l++) {
				float v = s[r][p][l] - half[l];
				a[l] = v > b[l] ? number + l : a[l];
				b[l] = v > b[l] ? v : b[l];
			}
		}
	}
}

// strip takes all rows past a few panels.
INLINE void NAME(strip)(int panels, const float *const *panel, int first, int dim,
                        const float *x, const int *rows, int n, float *best, int *at) {
	for (int from = 0; from < n; from += ROWS) {
		int some = n - from < ROWS ? n - from : ROWS;
		const float *row[ROWS];
		for (int r = 0; r < ROWS; r++) {
			int i = from + (r < some ? r : some - 1); // past the end: the last one again
			row[r] = x + (long)dim * (rows ? rows[i] : i);
		}
		NAME(tile)(panels, panel, first, dim, row, some, best + panel_width * (long)from, at + panel_width * (long)from);
	}
}

TARGET static void NAME(nearest)(const float *const *panel, int panels, int first, int dim,
                                 const float *x, const int *rows, int n, float *best, int *at) {
	for (; panels >= PANELS; panels -= PANELS, panel += PANELS, first += PANELS * panel_width)
		NAME(strip)(PANELS, panel, first, dim, x, rows, n, best, at);
#if PANELS > 1
	switch (panels) {
	case 3: NAME(strip)(3, panel, first, dim, x, rows, n, best, at); break;
	case 2: NAME(strip)(2, panel, first, dim, x, rows, n, best, at); break;
	case 1: NAME(strip)(1, panel, first, dim, x, rows, n, best, at); break;
	}
#endif
}

// norms adds up every sixteenth square in a lane, and then the lanes.
TARGET static void NAME(norms)(const float *x, int dim, int n, float *out) {
	for (int row = 0; row < n; row++, x += dim) {
		lanes sum = ZERO;
		int i = 0;
		for (; i + panel_width <= dim; i += panel_width) {
			lanes v = LOAD(x + i);
			sum = FMA(v, v, sum);
		}
		float rest[panel_width] = {0}, s[panel_width];
		for (int l = 0; i + l < dim; l++) rest[l] = x[i + l];
		lanes v = LOAD(rest);
		sum = FMA(v, v, sum);
		STORE(s, sum);
		for (int w = panel_width / 2; w > 0; w /= 2)
			for (int l = 0; l < w; l++) s[l] += s[l + w];
		out[row] = s[0];
	}
}

TARGET static void NAME(add)(double *restrict sum, const float *restrict x, int dim) {
	for (int i = 0; i < dim; i++) sum[i] += x[i];
}

TARGET static void NAME(move)(float *restrict mean, const double *restrict sum, const float *restrict old,
                              double by, double weight, int dim) {
	if (!old) {
		for (int i = 0; i < dim; i++) mean[i] = (float)(sum[i] / weight);
		return;
	}
	for (int i = 0; i < dim; i++) mean[i] = (float)((sum[i] + by * old[i]) / weight);
}

#undef INLINE
#undef NAME
#undef TARGET
#undef lanes
#undef ZERO
#undef LOAD
#undef STORE
#undef SPLAT
#undef FMA
#undef PANELS
