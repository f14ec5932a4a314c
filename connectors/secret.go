// Package connectors holds what the configurations of all connectors share.
// Each connector lives in a package of its own below, and knows no other.
//
// Adding a password or a key to a configuration? Make it a Secret, with the
// name of a file beside it, and read it with Open.
package connectors

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is a text that no log, error or printout shows. Only Open tells it.
type Secret string

// Hidden is what is shown in the place of a secret.
const Hidden = "(hidden)"

// String hides the secret from fmt; an empty one hides nothing.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText hides the secret from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Open returns the secret itself, or that of a file when one is named, less
// the line break at its end. Its errors name the file and never the secret.
func (s Secret) Open(file string) (string, error) {
	if file == "" {
		if s == Hidden {
			return "", fmt.Errorf("is %s, which printouts show in a secret's place: set the secret itself, or a file that holds it", Hidden)
		}
		return string(s), nil
	}
	b, err := os.ReadFile(file) //nolint:gosec // operators name their own files
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", errors.New(file + " is empty: the secret must be in it, on one line")
	}
	return text, nil
}
