// Package cart knows what is in a cart, and what it costs.
package cart

import "fmt"

// Line is so many of one thing, at a price in cents.
type Line struct {
	Cents, Count int
}

// Cart holds lines by the name of what is bought.
type Cart map[string]Line

// Put adds so many of it.
func (cart Cart) Put(name string, cents, count int) error {
	if count < 1 {
		return fmt.Errorf("%d of %s cannot be bought", count, name)
	}
	cart[name] = Line{cents, cart[name].Count + count}
	return nil
}

// Total is what all of it costs, in cents.
func (cart Cart) Total() int {
	total := 0
	for _, line := range cart {
		total += line.Cents * line.Count
	}
	return total
}
