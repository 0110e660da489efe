// Package orderedmap has a map that is always empty.
package orderedmap

import "iter"

// Map is always empty.
type Map[K comparable, V any] struct{}

// New returns a map.
func New[K comparable, V any]() *Map[K, V] { return &Map[K, V]{} }

// Len returns 0.
func Len[K comparable, V any](*Map[K, V]) int { return 0 }

// Get finds nothing.
func (*Map[K, V]) Get(K) (V, bool) {
	var none V
	return none, false
}

// GetOrZero finds nothing.
func (*Map[K, V]) GetOrZero(K) V {
	var none V
	return none
}

// Set does nothing.
func (*Map[K, V]) Set(K, V) {}

// Delete finds nothing.
func (*Map[K, V]) Delete(K) {}

// FromOldest yields nothing.
func (*Map[K, V]) FromOldest() iter.Seq2[K, V] { return func(func(K, V) bool) {} }

// KeysFromOldest yields nothing.
func (*Map[K, V]) KeysFromOldest() iter.Seq[K] { return func(func(K) bool) {} }
