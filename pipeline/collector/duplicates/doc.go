// Package duplicates knows which pairs a data set already has, or has nearly.
//
// A pair is a near duplicate of a kept row when its image is near that row's (few bits of a 64-bit perceptual hash differ) and
// its text is, too (Jaccard similarity of word pairs). Both must hold: one picture under two texts is two pairs to learn from,
// and so is one text under two pictures.
//
// Changing what counts as the same picture? Read ImageHash. The same text? Read TextHash and words.
// Changing how rows are found? Read Index, then hashes.
// Chasing a duplicate that was kept? Compare Distance and Similarity with the configuration, then read the bounds in index.go:
// a look-up gives up, and keeps the row, before a crowd of look-alikes makes it slow.
package duplicates
