// Width is how many centroids stand side by side in a panel, panels_most how
// many panels are multiplied at once.
enum { panel_width = 16, panels_most = 4 };

// has says whether this processor can run a kernel.
enum { kernel_plain, kernel_avx2, kernel_avx512, kernels };
int vectors_has(int kernel);

// A panel holds panel_width centroids: dim rows of one value of each, and a
// row of half their squared length. nearest compares n rows of x with panels
// of which the first centroid is number first. best and at hold, for each row
// and each lane, the highest x·c − ½‖c‖² so far and its centroid; a first of 0
// starts them. The lowest number wins a tie within a lane. rows says which rows
// of x; null: the first n.
void vectors_nearest(int kernel, const float *a, const float *b, const float *c, const float *d, int first, int dim,
                     const float *x, const int *rows, int n, float *best, int *at);

// norms writes the squared length of n rows.
void vectors_norms(int kernel, const float *x, int dim, int n, float *out);

// add adds x to sum.
void vectors_add(int kernel, double *sum, const float *x, int dim);

// move writes (sum + by·old) ÷ weight; a null old counts nothing.
void vectors_move(int kernel, float *mean, const double *sum, const float *old, double by, double weight, int dim);
