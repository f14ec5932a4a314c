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

int turbo_decode(unsigned char *pix, int width, int height, int colours, const unsigned char *data, unsigned long size);
