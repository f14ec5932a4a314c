package dataset

import (
	"strings"

	"github.com/itrstream/itrstream/schemas"
)

// Row is one pair of the data set with its image.
type Row struct {
	Collected schemas.Collected

	// Image is the encoded image: the bytes that Collected.Image.Digest is of.
	Image []byte
	// OCR is the text read off the image, Caption what a model says about it;
	// both are empty, for nobody fills them yet.
	OCR, Caption string
	// ImageHash is a perceptual hash of 64 bits; nil where none was taken.
	ImageHash *int64
	// TextHash is a MinHash signature of the text; nil where none was taken.
	TextHash []byte
}

// suffixes are those of what the media stage decodes; mime's own table would
// depend on the machine.
var suffixes = map[string]string{"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}

// imageName is the image's name beside its bytes: nothing lies there, but readers
// look at its suffix.
func imageName(image schemas.CollectedImage) string {
	if image.Digest == "" {
		return ""
	}
	return image.Digest + suffixes[image.MIME]
}

// mimeOf is imageName's way back.
func mimeOf(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	for kind, suffix := range suffixes {
		if suffix == name[dot:] {
			return kind
		}
	}
	return ""
}
