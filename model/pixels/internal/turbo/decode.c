//go:build libjpegturbo

#include <setjmp.h>

#include "decode.h"

/* The library must neither end the process nor write to its stderr: whatever it has to say ends the call. */
struct refusal {
	struct jpeg_error_mgr manager; /* first, so that a pointer to it is one to this */
	jmp_buf back;
};

static void refuse(j_common_ptr info) {
	longjmp(((struct refusal *)info->err)->back, 1);
}

/* Levels from 0 on are traces. */
static void refuse_warned(j_common_ptr info, int level) {
	if (level < 0) refuse(info);
}

static void say_nothing(j_common_ptr info) {
	(void)info;
}

static const J_COLOR_SPACE colour_spaces[] = {JCS_GRAYSCALE, JCS_YCbCr, JCS_RGB};

int turbo_decode(unsigned char *pix, int width, int height, int colours, const unsigned char *data, unsigned long size) {
	struct jpeg_decompress_struct info = {0};
	struct refusal refusal;
	info.err = jpeg_std_error(&refusal.manager);
	refusal.manager.error_exit = refuse;
	refusal.manager.emit_message = refuse_warned;
	refusal.manager.output_message = say_nothing;
	if (setjmp(refusal.back)) {
		jpeg_destroy_decompress(&info);
		return 0;
	}
	jpeg_create_decompress(&info);
	jpeg_mem_src(&info, data, size);
	if (jpeg_read_header(&info, TRUE) != JPEG_HEADER_OK || info.image_width != (JDIMENSION)width || info.image_height != (JDIMENSION)height ||
	    info.num_components != (colours == 0 ? 1 : 3) || jpeg_has_multiple_scans(&info)) {
		jpeg_destroy_decompress(&info);
		return 0;
	}
	info.jpeg_color_space = colour_spaces[colours];
	info.out_color_space = JCS_RGB;
	info.dct_method = JDCT_ISLOW;
	info.do_fancy_upsampling = TRUE;
	jpeg_start_decompress(&info);
	if (info.output_width != (JDIMENSION)width || info.output_height != (JDIMENSION)height || info.output_components != 3) {
		jpeg_destroy_decompress(&info);
		return 0;
	}
	while (info.output_scanline < info.output_height) {
		JSAMPROW rows[4];
		JDIMENSION some = 0;
		for (; some < 4 && info.output_scanline + some < info.output_height; some++)
			rows[some] = pix + (size_t)3 * width * (info.output_scanline + some);
		jpeg_read_scanlines(&info, rows, some);
	}
	/* What follows the last row does not matter, so it is not read. */
	jpeg_destroy_decompress(&info);
	return 1;
}
