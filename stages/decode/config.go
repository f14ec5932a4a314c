package decode

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Formats of the input.
const (
	FormatAuto      = "auto"      // by the shape of each message
	FormatPost      = "post"      // post.v1 only
	FormatJetstream = "jetstream" // Jetstream events only, legacy and v2
)

// Limits that nobody needs to turn. They bound what a post can put into a
// result beside its text.
const (
	maxID    = 1024 // bytes of an id, source, version, license or author
	maxKey   = 8192 // bytes of a record's key: a header of its result
	maxURI   = 8192 // bytes of an image's URL or a post's URI
	maxLangs = 32
	maxLang  = 64 // bytes of a language tag

	maxOptOuts = 32
	maxOptOut  = 64 // bytes
)

// Config is what operators choose about decoding.
type Config struct {
	// Format is auto, post or jetstream.
	Format string `mapstructure:"format"`
	// MaxMessageBytes bounds a record's value.
	MaxMessageBytes int `mapstructure:"max_message_bytes"`
	// MaxTextBytes bounds a post's text and alternative texts together.
	MaxTextBytes int `mapstructure:"max_text_bytes"`
	// MaxImages bounds the images of a post.
	MaxImages int `mapstructure:"max_images"`
	// MaxImageBytes bounds one inline image, decoded from base64.
	MaxImageBytes int `mapstructure:"max_image_bytes"`
	// BlueskyCDN is the base URL under which Bluesky's images are fetched.
	BlueskyCDN string `mapstructure:"bluesky_cdn"`
}

// DefaultConfig fits Bluesky and the usual social networks. A result's text,
// escaped as badly as JSON can, stays below Kafka's default record size.
func DefaultConfig() Config {
	return Config{
		Format:          FormatAuto,
		MaxMessageBytes: 16 << 20,
		MaxTextBytes:    128 << 10,
		MaxImages:       20,
		MaxImageBytes:   10 << 20,
		BlueskyCDN:      "https://cdn.bsky.app/img",
	}
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var faults []error
	if formats := []string{FormatAuto, FormatPost, FormatJetstream}; !slices.Contains(formats, c.Format) {
		faults = append(faults, fmt.Errorf("format: %q is not one of %s", c.Format, strings.Join(formats, ", ")))
	}
	for _, n := range []struct {
		key      string
		value    int
		max, min int
	}{
		{"max_message_bytes", c.MaxMessageBytes, 1 << 30, 1 << 10},
		{"max_text_bytes", c.MaxTextBytes, 1 << 24, 1},
		{"max_images", c.MaxImages, 1000, 1},
		{"max_image_bytes", c.MaxImageBytes, 1 << 30, 1},
	} {
		if n.value < n.min || n.value > n.max {
			faults = append(faults, fmt.Errorf("%s: %d is not between %d and %d", n.key, n.value, n.min, n.max))
		}
	}
	u, err := url.Parse(c.BlueskyCDN)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		faults = append(faults, fmt.Errorf("bluesky_cdn: %q is not an http or https URL without query", c.BlueskyCDN))
	}
	return errors.Join(faults...)
}
