/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tick, the interval, and the switch between pool and flusher.
 *
 * One device with one wb: a dirtier, a pool thread that is always there, the
 * hand-off, writers of the sysctl, a switcher, and a remover.  It begins anywhere:
 * with either engine, clean or dirty, and on pdflush with a delayed dwork that was
 * left from a time on the flusher, when the interval was long; on the flusher with
 * such a dwork as well, if the device has been on pdflush before.
 *
 * What is armed is armed for some time: NOW, SOON (the short interval) or LATE (the
 * long one).  I2 is asserted whenever nobody is at work any more: then what comes
 * next must be due within the interval that is set now.  Timers fire when they
 * like: time that passes only makes a LATE one fire, never go away.
 *
 * There may be others on wb_kupdate_list, more than one run of the timer looks at.
 * A tick then comes in two parts, and our wb has its turn in either of them, but in
 * each tick.
 *
 * A section under pool->lock is one atomic step.  work_lock is a real lock:
 * bdi->pdflush and the interval change while it is held, and the switcher relies
 * on having taken it.  So is wb_timer_lock, as wb_kupdate_add() looks at
 * WB_kupdate_listed without it.
 *
 * Of sysctl writers, switcher and remover two take part in a run: init has the pairs.
 */

/* When something is due, and the values of dirty_writeback_interval */
#define NO	0
#define NOW	1
#define SOON	2
#define LATE	3

bool pdflush;				/* bdi->pdflush */
byte users;				/* of the pool */
byte interval;				/* dirty_writeback_interval: NO for 0, SOON or LATE */
byte armed;				/* wb_timer */
bool timer_lock;

bool registered;
bool dirty;			/* WB_has_dirty_io */
bool listed;			/* WB_kupdate_listed, and on wb_kupdate_list */
bool others;			/* so are more than WB_KUPDATE_BATCH others */
byte left;			/* wb_kupdate_left, in batches */
bool mine;			/* the wb is among those that are left */
bool used;			/* bdi->pdflush_used */
bool queued;			/* WB_pdflush_queued */
bool work_lock;
byte dwork;
bool flusher_runs;
bool dirtying;			/* the inode keeps a reference on the wb */

bool tick_reads, walk_reads, sysctl_reads;	/* rcu_read_lock() */
bool unlinked, freed;			/* off bdi->wb_list; gone */
bool remover_done = true;

byte busy;				/* how many are at work */

/* What is asserted about, not part of the protocol. */
bool slow;				/* see queue_delayed_dwork() */

#define TOUCH	assert(!freed)		/* I9 */

#define IN_TIME(due)	(due != NO && due <= interval)
#define WILL_COME	(IN_TIME(armed) && listed && pdflush || \
			 IN_TIME(dwork) || queued || dwork != NO && slow)
#define I2		(!registered || !dirty || interval == NO || WILL_COME)

inline done()
{
	busy--;
	assert(busy > 0 || I2);
	assert(busy > 0 || interval != NO || armed == NO)	/* I6 */
}

/* mod_delayed_work(bdi_wq, &wb->dwork, 0) */
inline mod_dwork()
{
	TOUCH;
	dwork = NOW;
	slow = false
}

/*
 * queue_delayed_work(): what is pending stays as it is.  A wb on the flusher that is
 * clean while its dwork is delayed (somebody else cleaned it, as fsync does, or
 * the flusher between its dirtying and this) keeps that delay, which may be longer
 * than the interval is when the wb gets dirty again.  So it is without pdflush: as
 * long as the device has never been switched it is noted in slow, and not held
 * against the protocol.  Once it has, wb_hasten() is asked first.
 */
inline queue_delayed_dwork()
{
	TOUCH;
	if
#ifndef MUT_NO_HASTEN
	:: used && dwork > NOW && dwork > interval -> dwork = NOW
	:: dwork != NO && !(used && dwork > NOW && dwork > interval)
#else
	:: dwork != NO
#endif
	:: dwork == NO && interval != NO -> dwork = interval; slow = !dirty && !used
	:: dwork == NO && interval == NO -> dwork = NOW
	fi
}

/* pdflush_queue_wb(), under pool->lock */
inline pdflush_queue_wb()
{
	assert(users > 0);		/* who saw the flag set still finds a pool */
	if
	:: queued
	:: !queued -> queued = true
	fi
}

/* wb_wakeup(); no explicit work items here, see claim.pml */
inline wb_wakeup()
{
	atomic { !work_lock -> TOUCH; work_lock = true; flag = pdflush };
	atomic {
		if
		:: !registered
		:: registered && flag -> pdflush_queue_wb()
		:: registered && !flag -> mod_dwork()
		fi;
		flag = false;
		work_lock = false
	}
}

/*
 * wb_timer_arm(): under wb_timer_lock, which is also when the interval is read.  What
 * is pending is only brought forward.
 */
inline wb_timer_arm()
{
	if
	:: interval != NO && (listed || others) && (armed == NO || armed > interval) ->
		armed = interval
	:: else
	fi
}

/*
 * wb_kupdate_add(), then work_lock is dropped.  The look at the bit comes after a
 * full barrier; without that it may come before the wb was dirty (seen).
 */
inline wb_kupdate_add(seen)
{
	if
#ifdef MUT_ADD_NO_BARRIER
	:: atomic { seen -> flag = false; work_lock = false }
	:: atomic {
		!seen && !timer_lock ->
#else
	:: atomic { listed -> flag = false; work_lock = false }
	:: atomic {
		!listed && !timer_lock ->
#endif
		listed = true;
#ifndef MUT_ADD_NO_ARM
		wb_timer_arm();
#endif
		flag = false;
		work_lock = false
	   }
	fi
}

/* wb_wakeup_delayed(); the interval is read where it is used, which allows less races */
inline wb_wakeup_delayed(seen)
{
	atomic { !work_lock -> TOUCH; work_lock = true; flag = pdflush && registered };
	if
	:: flag -> wb_kupdate_add(seen)
	:: atomic {
		!flag ->
		if
		:: registered -> queue_delayed_dwork()
		:: !registered
		fi;
		work_lock = false
	   }
	fi
}

/*
 * A round, from its beginning to the release of the claim, in one step; what it
 * leaves dirty is a free choice.  A lost claim only repeats it later, see claim.pml.
 */
inline round()
{
	if
	:: dirty = false; slow = slow || !pdflush && !used && dwork > NOW
	:: true
	fi
}

/*
 * __mark_inode_dirty(): the list under list_lock, then the wake-up if it was empty.
 * Dirtying may overlap with all of wb_shutdown(), but does not begin afterwards.
 */
proctype dirtier()
{
	bool flag, first, seen;

	if
	:: atomic {
		!unlinked ->
		busy++;
		dirtying = true;
#ifdef MUT_ADD_NO_BARRIER
		seen = listed
	   };
	   atomic {
#endif
		first = !dirty;
		dirty = true
	   };
#ifndef MUT_DIRTIER_NO_ARM
	   if
	   :: first -> wb_wakeup_delayed(seen)
	   :: !first
	   fi;
#endif
	   atomic { first = false; seen = false; dirtying = false; done() }
	:: atomic { unlinked -> skip }
	fi
}

/*
 * What a round ends with: wb_wakeup_delayed() if the wb is still dirty, in one step
 * as soon as both locks are free; the dirtier has it in all its steps.
 */
inline rearm()
{
	if
	:: dirty && interval != NO && registered && pdflush -> listed = true; wb_timer_arm()
	:: dirty && interval != NO && registered && !pdflush -> queue_delayed_dwork()
	:: else
	fi
}

/* wb_workfn() */
proctype flusher()
{
end_idle:
	do
	:: atomic {
		dwork != NO ->
		TOUCH;
		dwork = NO;
		slow = false;
		flusher_runs = true;
		busy++;
		round()
	   };
	   atomic {
		!work_lock && !timer_lock ->
#ifndef MUT_FLUSHER_NO_ARM
		rearm();
#endif
		flusher_runs = false;
		done()
	   }
	od
}

/* pdflush_thread(), from taking the wb to leaving it; see claim.pml for between */
proctype pdflush_thread()
{
end_idle:
	do
	:: atomic {
		queued && !work_lock && !timer_lock ->
		TOUCH;
		queued = false;
		busy++;
		round();
		rearm();
		done()
	   }
	od
}

/* pdflush_tend(): under pool->lock, without work_lock */
proctype handoff()
{
end_idle:
	do
	:: atomic { queued -> queued = false; mod_dwork() }
	od
}

/* wb_timer_fn(): wb_kupdate_batch(), then the kick */
proctype tick()
{
	bool flag, on, look, kick;
	byte old;

end_idle:
	do
	:: atomic { armed != NO -> armed = NO; tick_reads = true; busy++; old = interval };
	   /* the next batch, or the first of a tick that begins; then wb_kupdate_keep() */
	   atomic {
		!timer_lock ->
		timer_lock = true;
		on = interval != NO;
		if
		:: !on ->
#ifndef MUT_ZERO_KEEPS_THE_REST
			left = 0;
#endif
			mine = mine && left > 0
		:: on && left == 0 ->
			mine = listed;
			left = (others -> 2 : 1)
		:: on && left > 0
		fi;
		assert(!mine || listed);
		if
		:: on && mine -> look = true
		:: !on || !mine || left > 1 -> look = false
		fi;
		kick = look && dirty && pdflush;
		if
		:: look -> mine = false
		:: else
		fi
	   };
	   atomic {
		if
		:: look && !kick -> TOUCH; listed = false
		:: else
		fi
	   };
	   atomic {
#ifndef MUT_KEEP_NO_BARRIER
		/* after the full barrier: once more */
		if
		:: look && !kick && dirty && pdflush -> listed = true; kick = true
		:: else
		fi;
#endif
		look = false;
		if
		:: on && left > 0 ->
#ifdef MUT_REST_IS_FORGOTTEN
			left = 0
#else
			left--
#endif
		:: else
		fi;
		if
		:: on && left > 0 -> armed = NOW
		:: on && left == 0 ->
			assert(!mine);			/* I13: its turn in each tick */
#ifdef MUT_TICK_OLD_INTERVAL
			if
			:: listed && armed == NO -> armed = old
			:: else
			fi;
#elif !defined(MUT_TICK_NO_ARM)
			wb_timer_arm();
#endif
			if
			:: others = false		/* clean, in the end */
			:: true
			fi
		:: !on
		fi;
		on = false;
		old = NO;
		timer_lock = false
	   };
	   if
	   :: kick -> wb_wakeup()
	   :: !kick
	   fi;
	   atomic { kick = false; tick_reads = false; done() }
	od
}

/* dirty_writeback_centisecs_handler(); writers are not serialized */
proctype sysctl(byte value)
{
	bool flag, changed;

	busy++;
#ifdef MUT_SYSCTL_ARMS_EARLY
	atomic { !timer_lock -> armed = (listed || others -> value : NO) };
	atomic { changed = interval != value; interval = value };
#else
	atomic { changed = interval != value; interval = value };
	/* wb_kupdate_interval_written(): under wb_timer_lock, by the value found there */
	atomic {
		!timer_lock ->
#ifdef MUT_SYSCTL_OWN_VALUE
		armed = (listed || others -> value : NO)
#else
		if
#ifdef MUT_SYSCTL_KEEPS_THE_REST
		:: interval == NO || !listed && !others -> armed = NO
#else
		:: interval == NO || !listed && !others -> armed = NO; left = 0; mine = false
#endif
#ifdef MUT_SYSCTL_PENDING_IS_ENOUGH
		:: interval != NO && (listed || others) && left == 0 && armed == NO ->
#elif defined(MUT_SYSCTL_PUTS_OFF_THE_REST)
		:: interval != NO && (listed || others) ->
#else
		:: interval != NO && (listed || others) && left == 0 ->
#endif
			assert(!mine);			/* I13: it is looked at now */
			armed = interval
		:: else
		fi
#endif
	};
#endif
	/* wakeup_flusher_threads(), for who is on the flusher; no help to the others is assumed */
	if
	:: value != NO && changed ->
		sysctl_reads = true;
		if
		:: !unlinked && dirty && !pdflush -> wb_wakeup()
		:: else
		fi;
		sysctl_reads = false
	:: else
	fi;
	atomic { changed = false; done() }
}

/*
 * wb_switched().  The hand-off does not take work_lock and may come between the look
 * at the dwork and what is done about it; so may the dwork's timer.
 */
inline wb_switched()
{
#ifdef MUT_SWITCH_NO_LOCK
	atomic { TOUCH; flag = registered };
#else
	atomic { !work_lock -> TOUCH; work_lock = true; flag = registered };
#endif
#ifdef MUT_WALK_UNREGISTERED
	flag = true;
#endif
	if
#ifndef MUT_ON_NO_ADD
	:: flag && pdflush && dirty -> wb_kupdate_add(seen)
#endif
	:: flag && !pdflush && (dirty && interval != NO || dwork > NOW) ->
		atomic {
#ifdef MUT_PENDING_IS_ENOUGH
			TOUCH;
			if
			:: dwork == NO -> dwork = (interval != NO -> interval : NOW)
			:: dwork != NO
			fi;
#elif defined(MUT_SWITCH_PUTS_OFF)
			TOUCH;
			assert(dwork != NOW);	/* a kick or a hand-off is put off */
			dwork = (interval != NO -> interval : NOW);
			slow = false;
#else
			mod_dwork();
#endif
			flag = false;
			work_lock = false
		}
	:: else -> atomic { flag = false; work_lock = false }
	fi
}

/* bdi_set_pdflush(), under pdflush_switch_mutex; bdi_switch_wbs() */
proctype switcher()
{
	bool flag, seen;

	busy++;
#ifdef MUT_ADD_NO_BARRIER
	seen = listed;
#endif
	if
	:: pdflush -> pdflush = false
	:: !pdflush -> used = true; users++; pdflush = true
	fi;
#ifndef MUT_NO_WALK
	walk_reads = true;
	if
	:: !unlinked -> wb_switched()
	:: unlinked
	fi;
	walk_reads = false;
#endif
	if
	:: !pdflush -> users--
	:: pdflush
	fi;
	atomic { seen = false; done() }
}

/* wb_shutdown() */
proctype remover()
{
	remover_done = false;
	atomic { !work_lock -> registered = false };
	unlinked = true;			/* off bdi->wb_list */
#ifndef MUT_REMOVE_KEEPS_LISTED
	/* wb_kupdate_remove() */
	atomic {
		!timer_lock ->
		if
		:: listed ->
			listed = false;
#ifndef MUT_REMOVE_KEEPS_LEFT
			mine = false;
			left = (others -> left : 0);
#endif
			armed = (others -> armed : NO)
		:: !listed
		fi
	};
#endif
	queued = false;				/* pdflush_drain_wb() */
	atomic { mod_dwork() };
	dwork == NO && !flusher_runs;
	/* the grace period before the memory goes */
	!tick_reads;
	!walk_reads;
	!sysctl_reads;
	!work_lock;
	!dirtying;
	freed = true;
	remover_done = true
}

/* Nobody can move any more, and no timer runs. */

proctype quiet()
{
	timeout;
	assert(remover_done && (users > 0) == pdflush);
	assert(interval != NO || armed == NO);		/* I6 */
	assert(!queued && dwork == NO);
	assert(!freed || !listed)
}

init
{
	atomic {
		registered = true;
		if
		:: interval = LATE; run sysctl(SOON); run switcher()
		:: interval = SOON; run sysctl(NO); run switcher()
		:: interval = NO; run sysctl(SOON); run switcher()
		:: interval = LATE; run sysctl(NO); run sysctl(SOON)
		:: interval = NO; run sysctl(LATE); run sysctl(SOON)
		:: interval = LATE; run switcher(); run remover()
		:: interval = LATE; run sysctl(SOON); run remover()
		fi;
		if
		:: dirty = true
		:: dirty = false
		fi;
		if
		:: pdflush = true;
		   used = true;
		   users = 1;
		   listed = dirty;
		   armed = (listed -> interval : NO);
		   if
		   :: dwork = LATE
		   :: dwork = NO
		   :: others = true; armed = interval
		   fi
		:: pdflush = false;
		   dwork = (dirty -> interval : NO)
		:: pdflush = false;
		   used = true;
		   dwork = (dirty -> interval : LATE)
		fi;
		run dirtier();
		run flusher();
		run pdflush_thread();
		run handoff();
		run tick();
		run quiet()
	}
}
