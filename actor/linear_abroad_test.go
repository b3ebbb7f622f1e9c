package raft

import "github.com/asynkron/protoactor-go/actor"

// connectAbroad has some Clients live in another actor system than the members: what is sent between the two is lost, or
// late, as often as in the weather, and now and then it is said to be.
func (t *trial) connectAbroad() {
	t.remoting = newRemoting(t.TB)
	t.remoting.immediate = true
	t.remoting.connect("members:1", t.system)
	t.abroad = t.remoting.join("clients:1")
	for i := range t.founders {
		t.founders[i].Address = "members:1"
	}
	t.remoting.fault = func(p *parcel) int {
		switch {
		case t.chance(t.weather.lose):
			t.counts["parcels lost"]++
			if t.chance(200) {
				t.counts["addresses lost"]++
				t.latePosts = append(t.latePosts, func() {
					t.abroad.EventStream.Publish(&AddressUnreachable{Address: "members:1"})
				})
			}
			return 0
		case t.chance(t.weather.lateRequest):
			t.counts["parcels late"]++
			t.latePosts = append(t.latePosts, func() { t.remoting.hand(p, t.other(p)) })
			return 0
		case p.target.Address == "clients:1" && t.chance(t.weather.repeat): // remoting repeats nothing that has an effect
			return 2
		default:
			return 1
		}
	}
}

// other is the system that a parcel goes to.
func (t *trial) other(p *parcel) *actor.ActorSystem {
	if p.target.Address == "clients:1" {
		return t.abroad
	}
	return t.system
}
