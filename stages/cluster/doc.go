// Package cluster assigns pairs to centroids as they arrive, and moves the
// centroids so that each pair of each offset counts exactly once, whatever
// crashes.
//
// Changing the distance? Read internal/vectors, then invariant 3 of the pipeline.
// Changing how centroids move, die or are born? Read row.fold and newborn.
// Changing what is stored? Read CentroidStore, row.go, then connectors/redis;
// clustertest holds the store that specifies the others.
// Chasing a pair that was counted twice or not at all? Read Claim.Fold.
// Wondering about the first centroids? Read initialise.
//
// The protocol, per input partition: Claim takes the partition over and
// tells the cursor, the next offset to fold. Fold assigns a batch that starts
// at the cursor, and stores moved centroids, cursor and what it concluded in
// one step. Recall gives a batch below the cursor what its fold concluded.
// The store compares and keeps opaque bytes; all arithmetic is here.
//
// Three facts that surprise:
//   - The store may go back in time (Redis restarts from an older state).
//     Cursor and rows go back together, so the offsets in between are folded
//     again; Behind notices. Nothing may therefore be named or compared by a
//     counter alone: tags and public ids are random.
//   - A fold whose reply was lost is simply called again. The store answers
//     that the cursor has passed, and shows the record of the fold, which may
//     have assigned differently from the second call: the record wins.
//   - Counts and checksums never decay. They are what tests compare with what
//     was sent; weights are what the arithmetic uses.
package cluster
