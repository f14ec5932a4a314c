//go:build libjpegturbo

#include <setjmp.h>
#include <stdlib.h>

#include "decode.h"

struct turbo_decoder {
	struct jpeg_decompress_struct info;
	struct jpeg_error_mgr manager;
	struct jpeg_progress_mgr progress;
	int scans;
	/* Set anew by each call from outside, so that nothing jumps into a function that has returned. */
	jmp_buf back;
};

/* The library must neither end the process nor write to its stderr: whatever it has to say ends the call. */
static void refuse(j_common_ptr info) {
	longjmp(((struct turbo_decoder *)info->client_data)->back, 1);
}

/* Levels from 0 on are traces. */
static void refuse_warned(j_common_ptr info, int level) {
	if (level < 0) refuse(info);
}

static void say_nothing(j_common_ptr info) {
	(void)info;
}

/* The caller has counted the scans; a library that finds more is stopped. */
static void count_scans(j_common_ptr info) {
	j_decompress_ptr decompress = (j_decompress_ptr)info;
	if (decompress->input_scan_number > ((struct turbo_decoder *)info->client_data)->scans) refuse(info);
}

static const J_COLOR_SPACE colour_spaces[] = {JCS_GRAYSCALE, JCS_YCbCr, JCS_RGB};

/* What the library takes beside coefficients: rows of all components, and a few hundred KB of tables. */
static long rows_memory(const struct turbo_file *file) {
	return 200L * (file->width + 64) + (1L << 20);
}

static int start(struct turbo_decoder *decoder, const struct turbo_file *file) {
	j_decompress_ptr info = &decoder->info;
	if (setjmp(decoder->back)) return 0;
	jpeg_create_decompress(info);
	info->mem->max_memory_to_use = file->coefficients + rows_memory(file);
	info->progress = &decoder->progress;
	jpeg_mem_src(info, file->data, file->size);
	if (jpeg_read_header(info, TRUE) != JPEG_HEADER_OK || info->image_width != (JDIMENSION)file->width ||
	    info->image_height != (JDIMENSION)file->height || info->num_components != (file->colours == 0 ? 1 : 3) ||
	    info->progressive_mode != (file->scans > 0) || (file->scans == 0 && jpeg_has_multiple_scans(info)))
		return 0;
	info->jpeg_color_space = colour_spaces[file->colours];
	info->out_color_space = JCS_RGB;
	info->dct_method = JDCT_ISLOW;
	info->do_fancy_upsampling = TRUE;
	info->do_block_smoothing = FALSE;
	info->scale_num = 1;
	info->scale_denom = (unsigned int)file->denominator;
	jpeg_start_decompress(info);
	return info->output_width == (JDIMENSION)((file->width + file->denominator - 1) / file->denominator) &&
	       info->output_height == (JDIMENSION)((file->height + file->denominator - 1) / file->denominator) && info->output_components == 3;
}

struct turbo_decoder *turbo_open(const struct turbo_file *file) {
	struct turbo_decoder *decoder = calloc(1, sizeof *decoder);
	if (decoder == NULL) return NULL;
	decoder->info.client_data = decoder;
	decoder->info.err = jpeg_std_error(&decoder->manager);
	decoder->manager.error_exit = refuse;
	decoder->manager.emit_message = refuse_warned;
	decoder->manager.output_message = say_nothing;
	decoder->progress.progress_monitor = count_scans;
	decoder->scans = file->scans > 0 ? file->scans : 1;
	if (start(decoder, file)) return decoder;
	turbo_close(decoder);
	return NULL;
}

int turbo_read(struct turbo_decoder *decoder, unsigned char *pix, int rows) {
	j_decompress_ptr info = &decoder->info;
	size_t stride = (size_t)3 * info->output_width;
	if (setjmp(decoder->back)) return 0;
	/* What follows the last row does not matter, so it is not read. */
	for (JDIMENSION end = info->output_scanline + (JDIMENSION)rows, first = info->output_scanline; info->output_scanline < end;) {
		JSAMPROW some[4];
		JDIMENSION at = info->output_scanline, n = 0;
		for (; n < 4 && at + n < end; n++) some[n] = pix + stride * (at + n - first);
		if (jpeg_read_scanlines(info, some, n) == 0) return 0;
	}
	return 1;
}

void turbo_close(struct turbo_decoder *decoder) {
	jpeg_destroy_decompress(&decoder->info);
	free(decoder);
}
