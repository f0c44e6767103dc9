/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tick, the interval, and the switch between pool and flusher.
 *
 * One device with NWB wbs, a dirtier each, a pool thread that is always there,
 * two writers of the sysctl, a switcher, and a remover of the last wb.
 *
 * A section under pool->lock or wb_timer_lock is one atomic step.  work_lock is
 * a real lock: bdi->pdflush and the interval change while it is held, and it is
 * the read side that the switcher's grace period waits for.
 *
 * Timers fire when they like.  I2 is asserted whenever nobody is at work any
 * more: then the next to come must be armed, queued or pending.
 *
 * Of the two sysctl writers, the switcher and the remover two take part in a
 * run, not all four: every pair is tried.
 */

#ifndef NWB
#define NWB	1
#endif
#define LAST	(NWB - 1)

bool pdflush;				/* bdi->pdflush */
byte users;				/* of the pool */
bool interval;				/* dirty_writeback_interval is not 0 */
bool armed;				/* wb_timer is pending */

bool registered[NWB];
bool dirty[NWB];			/* WB_has_dirty_io */
bool queued[NWB], held[NWB], again[NWB];
bool work_lock[NWB];
bool dwork[NWB];			/* pending; its timer, if any, fires when it likes */
bool flusher_runs[NWB];
bool dirtying[NWB];			/* the inode keeps a reference on the wb */

bool tick_reads, walk_reads, sysctl_reads;	/* rcu_read_lock() */
bool unlinked, freed;			/* the last wb: off bdi->wb_list; gone */
bool remover_done = true;

byte busy;				/* how many are at work */

#define TOUCH(w)	assert(w != LAST || !freed)	/* I9 */
#define LISTED(w)	(w != LAST || !unlinked)

/* Something will come. */
#define WILL_COME(w)	(armed && pdflush || dwork[w] || queued[w])
#define I2(w)		(!registered[w] || !dirty[w] || !interval || WILL_COME(w))

inline done()
{
	busy--;
	assert(busy > 0 || I2(0) && I2(LAST));
	assert(busy > 0 || interval || !armed)		/* I6 */
}

inline mod_dwork(w)
{
	TOUCH(w);
	dwork[w] = true
}

/* pdflush_queue_wb(), under pool->lock */
inline pdflush_queue_wb(w)
{
	assert(users > 0);		/* a kicker that saw the flag set still finds a pool */
	if
	:: queued[w]
	:: !queued[w] && held[w] -> again[w] = true
	:: !queued[w] && !held[w] -> queued[w] = true
	fi
}

/* wb_wakeup(); no explicit work items here */
inline wb_wakeup(w)
{
	atomic { !work_lock[w] -> TOUCH(w); work_lock[w] = true; flag = pdflush };
	atomic {
		if
		:: !registered[w]
		:: registered[w] && flag -> pdflush_queue_wb(w)
		:: registered[w] && !flag -> mod_dwork(w)
		fi;
		flag = false;
		work_lock[w] = false
	}
}

/* wb_kupdate_arm(): the interval is read under wb_timer_lock */
inline wb_kupdate_arm()
{
	atomic {
		if
		:: interval -> armed = true
		:: !interval
		fi
	}
}

inline queue_delayed_dwork(w)
{
	TOUCH(w);
	dwork[w] = true
}

/* wb_wakeup_delayed() */
inline wb_wakeup_delayed(w)
{
	atomic { !work_lock[w] -> TOUCH(w); work_lock[w] = true; flag = pdflush };
	atomic {
		if
		:: !registered[w]
		:: registered[w] && flag -> wb_kupdate_arm()
		:: registered[w] && !flag -> queue_delayed_dwork(w)
		fi;
		flag = false;
		work_lock[w] = false
	}
}

/*
 * A round, claim to release, in one step; what it leaves dirty is a free choice.
 * A lost claim only repeats it later, see claim.pml.
 */
inline round(w)
{
	atomic {
		TOUCH(w);
		if
		:: dirty[w] = false
		:: true
		fi
	}
}

/*
 * __mark_inode_dirty(): the list under list_lock, then the wake-up if it was empty.
 * Dirtying may overlap with all of wb_shutdown(), but does not begin afterwards.
 */
proctype dirtier(byte w)
{
	bool flag, first;
	byte n;

	do
	:: atomic {
		n < 2 && (w != LAST || !unlinked) ->
		n++;
		busy++;
		dirtying[w] = true;
		first = !dirty[w];
		dirty[w] = true
	   };
#ifndef MUT_DIRTIER_NO_ARM
	   if
	   :: first -> wb_wakeup_delayed(w)
	   :: !first
	   fi;
#endif
	   atomic { first = false; dirtying[w] = false; done() }
	:: n == 2 || (w == LAST && unlinked) -> break
	od
}

/* wb_workfn() */
proctype flusher(byte w)
{
	bool flag;

end_idle:
	do
	:: atomic {
		dwork[w] ->
		TOUCH(w);
		dwork[w] = false;
		flusher_runs[w] = true;
		busy++
	   };
	   round(w);
#ifndef MUT_FLUSHER_NO_ARM
	   if
	   :: dirty[w] && interval -> wb_wakeup_delayed(w)
	   :: else
	   fi;
#endif
	   atomic { flusher_runs[w] = false; done() }
	od
}

/* pdflush_thread() */
proctype pdflush_thread()
{
	byte w;
	bool flag;

end_idle:
	do
	:: atomic {
		if
		:: queued[0] -> w = 0
		:: queued[LAST] -> w = LAST
		fi;
		TOUCH(w);
		queued[w] = false;
		held[w] = true;
		busy++
	   };
	   round(w);
#ifndef MUT_TICK_NOT_REARMED			/* the tick and the round stand in for each other */
	   if
	   :: dirty[w] -> wb_wakeup_delayed(w)
	   :: else
	   fi;
#endif
	   /* pdflush_leave() */
	   atomic {
		TOUCH(w);
		queued[w] = again[w];
		again[w] = false;
		held[w] = false;
		w = 0;
		done()
	   }
	od
}

/* wb_timer_fn() and wb_kupdate() */
proctype tick()
{
	byte w;
	bool flag, any, old;

end_idle:
	do
	:: atomic { armed -> armed = false; tick_reads = true; busy++ };
	   /* per device, then per wb; the list was looked at under RCU */
	   if
	   :: pdflush ->
		do
		:: w < NWB && LISTED(w) && dirty[w] ->
			any = true;
			atomic { TOUCH(w) };			/* set_bit(WB_kupdate) */
			wb_wakeup(w);
			w++
		:: w < NWB && (!LISTED(w) || !dirty[w]) -> w++
		:: w == NWB -> break
		od
	   :: !pdflush
	   fi;
#ifdef MUT_TICK_OLD_INTERVAL
	   old = interval;
	   if
	   :: any && old -> armed = true
	   :: else
	   fi;
#elif !defined(MUT_TICK_NOT_REARMED)
	   if
	   :: any -> wb_kupdate_arm()
	   :: !any
	   fi;
#endif
	   atomic { any = false; w = 0; tick_reads = false; done() }
	od
}

/* dirty_writeback_centisecs_handler(); writers are not serialized */
proctype sysctl(bool value)
{
	byte w;
	bool flag;

	busy++;
#ifdef MUT_SYSCTL_ARMS_EARLY
	armed = value;
	interval = value;
#else
	interval = value;
	/* under wb_timer_lock, by the value found there */
#ifdef MUT_SYSCTL_OWN_VALUE
	armed = value;
#else
	atomic { armed = interval };
#endif
#endif
	/* wakeup_flusher_threads(), for devices using the flusher; not assumed to help the others */
	if
	:: value ->
		sysctl_reads = true;
		do
		:: w < NWB && LISTED(w) && dirty[w] && !pdflush -> wb_wakeup(w); w++
		:: w < NWB && (!LISTED(w) || !dirty[w] || pdflush) -> w++
		:: w == NWB -> break
		od;
		sysctl_reads = false
	:: !value
	fi;
	atomic { w = 0; done() }
}

inline switch_on()
{
	users++;
	pdflush = true;
#ifndef MUT_ON_NO_ARM
	if
	:: dirty[0] || (LISTED(LAST) && dirty[LAST]) -> wb_kupdate_arm()
	:: else
	fi
#endif
}

inline switch_off()
{
#ifdef MUT_OFF_NO_GRACE
	/* nothing orders the walk's loads behind the store: they come first */
	seen[0] = dirty[0];
	seen[LAST] = dirty[LAST];
	pdflush = false;
#else
	pdflush = false;
	/* synchronize_rcu(): whoever may have seen the flag has left */
	!work_lock[0];
	!work_lock[LAST];
	!tick_reads;
#endif
#ifndef MUT_OFF_NO_WALK
	walk_reads = true;
	w = 0;
	do
#ifdef MUT_OFF_NO_GRACE
	:: w < NWB && LISTED(w) && seen[w] ->
#else
	:: w < NWB && LISTED(w) && dirty[w] ->
#endif
		atomic {
			!work_lock[w] ->
			if
#ifdef MUT_WALK_UNREGISTERED
			:: true -> queue_delayed_dwork(w)
#else
			:: registered[w] -> queue_delayed_dwork(w)
			:: !registered[w]
#endif
			fi;
			w++
		}
#ifdef MUT_OFF_NO_GRACE
	:: w < NWB && (!LISTED(w) || !seen[w]) -> w++
#else
	:: w < NWB && (!LISTED(w) || !dirty[w]) -> w++
#endif
	:: w == NWB -> break
	od;
	walk_reads = false;
#endif
	users--
}

/* bdi_set_pdflush(), under pdflush_switch_mutex */
proctype switcher()
{
	byte w;
#ifdef MUT_OFF_NO_GRACE
	bool seen[NWB];
#endif

	busy++;
	if
	:: pdflush -> switch_off()
	:: !pdflush -> switch_on()
	fi;
	atomic { w = 0; done() }
}

/* wb_shutdown() of the last wb */
proctype remover()
{
	remover_done = false;
	atomic { !work_lock[LAST] -> registered[LAST] = false };
	unlinked = true;			/* off bdi->wb_list */
	atomic { queued[LAST] = false; again[LAST] = false };	/* pdflush_drain_wb() */
	!held[LAST];
	dwork[LAST] = true;
	!dwork[LAST] && !flusher_runs[LAST];
	/* the grace period before the memory goes */
	!tick_reads;
	!walk_reads;
	!sysctl_reads;
	!work_lock[LAST];
	!dirtying[LAST];
	freed = true;
	remover_done = true
}

/* Nobody can move any more, and no timer runs. */

proctype quiet()
{
	byte w;

	timeout;
	assert(remover_done && (users > 0) == pdflush);
	assert(interval || !armed);			/* I6 */
	do
	:: w < NWB ->
		assert(!queued[w] && !held[w] && !again[w] && !dwork[w]);
		w++
	:: w == NWB -> break
	od
}

init
{
	byte w;

	atomic {
		do
		:: w < NWB ->
			registered[w] = true;
			run dirtier(w);
			run flusher(w);
			w++
		:: w == NWB -> break
		od;
		w = 0;
		if
		:: interval = true
		:: interval = false
		fi;
		if
		:: pdflush = true; users = 1
		:: pdflush = false
		fi;
		run pdflush_thread();
		run tick();
		run quiet();
		if
		:: run sysctl(1); run switcher()
		:: run sysctl(0); run sysctl(1)
		:: run switcher(); run remover()
		:: run sysctl(0); run switcher()
		:: run sysctl(0); run remover()
		:: run sysctl(1); run remover()
		fi
	}
}
