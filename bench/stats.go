package main

import "slices"

// A figure is the median over the rounds, and what they spread.
type figure struct {
	median, least, most float64
}

// figureOf gathers one figure of each round; there is at least one.
func figureOf(rounds []measurement, of func(measurement) float64) figure {
	var all []float64
	for _, m := range rounds {
		all = append(all, of(m))
	}
	slices.Sort(all)
	middle := len(all) / 2
	f := figure{median: all[middle], least: all[0], most: all[len(all)-1]}
	if len(all)%2 == 0 {
		f.median = (all[middle-1] + all[middle]) / 2
	}
	return f
}

// spread is the distance between the extremes.
func (f figure) spread() float64 { return f.most - f.least }

// A verdict compares a contender with the best of some others.
type verdict struct {
	ratio float64 // of the medians
	tie   bool    // they differ by less than the larger spread
}

func perSecond(m measurement) float64 { return m.PerSecond }

// against compares throughput with the best contender of a role in the same
// cell, this one itself excepted. There may be none.
func against(s *series, cellmates []*series, r role) (verdict, bool) {
	own := figureOf(s.Rounds, perSecond)
	var best *figure
	for _, other := range cellmates {
		if other == s || roleOf(other.Contender) != r {
			continue
		}
		if f := figureOf(other.Rounds, perSecond); best == nil || f.median > best.median {
			best = &f
		}
	}
	if best == nil || best.median == 0 {
		return verdict{}, false
	}
	distance := max(own.median, best.median) - min(own.median, best.median)
	return verdict{ratio: own.median / best.median, tie: distance < max(own.spread(), best.spread())}, true
}
