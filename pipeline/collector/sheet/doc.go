// Package sheet draws a contact sheet: pairs of a data set as a person sees them, image above text.
//
// Changing how it looks? Read tile.go. Changing which pairs are on it? That is the caller's choice.
package sheet
