// Package jpeg decodes baseline and progressive JPEG files into the planes that they hold.
//
// The standard library's decoder is not used because models were trained on libjpeg's pixels: its inverse transform rounds
// otherwise, it refuses or approximates CMYK and unusual subsampling, and it takes fresh memory for each picture. Here the
// inverse transform is the one libjpeg calls "islow", bit for bit. Upsampling and colour are the caller's.
//
// Reading a header, or looking for limits on what a file may ask for? Read Parse.
// Changing how bits become coefficients? Read bits.go, then scan.go (sequential) or progressive.go.
// Changing how coefficients become samples? Read idct.go, and compare with libjpeg afterwards.
//
// Damage is an error here, where libjpeg warns and fills in grey. A progressive file that ends, whole, before its last
// refinement is shown as it stands, where libjpeg smooths it.
//
// Source: ITU-T T.81. Arithmetic coding, 12 bits, lossless and hierarchical files are refused.
package jpeg
