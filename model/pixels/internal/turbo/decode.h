//go:build libjpegturbo

#include <stdio.h>

#include <jpeglib.h>

/* Other libraries of the name enlarge chroma in other ways. */
#ifndef LIBJPEG_TURBO_VERSION
#error "jpeglib.h is not libjpeg-turbo's: build without the tag libjpegturbo"
#endif

#define TURBO_TEXT(version) #version
#define TURBO_TEXT_OF(version) TURBO_TEXT(version)
#define TURBO_VERSION TURBO_TEXT_OF(LIBJPEG_TURBO_VERSION)

/* What turbo.File says, in C. */
struct turbo_file {
	const unsigned char *data;
	unsigned long size;
	int width, height;
	int colours;
	int scans;        /* 0: the file is sequential */
	long coefficients; /* bytes */
	int denominator;
};

struct turbo_decoder;

/* turbo_open returns NULL for a file that is refused. It keeps the data, which must not move before turbo_close. */
struct turbo_decoder *turbo_open(const struct turbo_file *file);

/* turbo_read writes the next rows and returns 1, or 0 for a file that is refused: it must then be closed. */
int turbo_read(struct turbo_decoder *decoder, unsigned char *pix, int rows);

void turbo_close(struct turbo_decoder *decoder);
