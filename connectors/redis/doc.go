// Package redis keeps centroids and cursors in Redis: it implements
// cluster.CentroidStore with one Lua script a step.
//
// Changing the protocol? Read scripts.go beside clustertest.Memory, which
// says the same in Go; clustertest.Conform compares the two.
// Wondering which error stops the process? Read classify.
// Looking for a key in a live server? Read Store.
//
// Two facts that surprise:
//   - Redis undoes nothing when a script fails half way. The scripts therefore
//     compare everything before they write anything, and memory that runs out
//     is refused at a script's first write only.
//   - Lua's numbers are float64. Offsets and tokens stay below 2^53; checksums
//     don't, so no script ever looks at one.
package redis
