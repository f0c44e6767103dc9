/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The claim of one wb, its way through the pool, and its end.
 *
 * One healthy wb, two pool threads, the flusher, the hand-off, kickers, one
 * explicit work item, a switcher and a remover.  Two wbs share nothing here but the
 * threads; that side is pool.pml.  docs/model/README has the properties.
 *
 * A section under pool->lock is one atomic step: nothing it touches is
 * changed without that lock.  work_lock is a real lock, because wb_wakeup()
 * takes pool->lock and reads bdi->pdflush, which others change, inside it.
 * Bit operations without a lock are steps of their own.
 */

#define NTHREADS	2
#ifdef MUT_UNLINK_NO_BARRIER
#define NKICKS		1	/* the search would be long: one has been served already */
#define QUEUED		true
#else
#define QUEUED		false
#endif
#ifndef NKICKS
#define NKICKS		2
#endif

/* wb->state */
bool registered = true;
bool running;			/* WB_claimed: the claim */
bool claim_lost;
bool queued = QUEUED, held, again;	/* WB_pdflush_queued, _active, _again: under pool->lock */

bool work_lock;
byte works;			/* wb->work_list, under work_lock */
bool need;			/* WB_start_all, or over the threshold: set before the kick */
bool dwork;			/* wb->dwork is pending */
bool flusher_runs;		/* wb_workfn() runs: never twice at once */
bool pdflush = true;		/* bdi->pdflush */

/* The surroundings. */
bool hung;			/* every thread not on this wb is stuck in some other device */
bool frozen;			/* and the pool timer does not come for a long time */
bool no_new_callers, freed;
byte callers;			/* callers keep the wb alive for as long as their call takes */

/* What is asserted about, not part of the protocol. */
byte owners;
byte works_sent, works_done;
bool remover_done;
bool low_space;			/* reason of the explicit work item */
bool first_busy;		/* idle threads are alike: the second comes when the first is busy */

#define TOUCH	assert(!freed)		/* I9 */

inline own()
{
	owners++;
	assert(owners == 1)		/* I1 */
}

/* pdflush_queue_wb(), under pool->lock; waking is implied: a thread waits for queued */
inline pdflush_queue_wb()
{
	TOUCH;
	if
	:: queued
#if defined(MUT_QUEUE_ACTIVE)
	:: !queued -> queued = true
#elif defined(MUT_KICK_ACTIVE_DROPPED)
	:: !queued && held -> skip
	:: !queued && !held -> queued = true
#else
	:: !queued && held -> again = true
	:: !queued && !held -> queued = true
#endif
	fi
}

/*
 * wb_wakeup(): pdflush_kick_pending(); or lock and decide, then pool->lock or the
 * workqueue, unlock, which is never wrong.  The look at the bit comes after a full
 * barrier; without that it may come before what the kick is about is stored (early).
 */
inline wb_wakeup(early)
{
	if
#ifdef MUT_KICK_NO_BARRIER
	:: atomic { early && works == 0 -> TOUCH }
#else
	:: atomic { queued && works == 0 -> TOUCH }
#endif
	::
	atomic {
		!work_lock -> work_lock = true;
		TOUCH;
#ifdef MUT_EXPLICIT_TO_POOL
		to_pool = pdflush
#else
		to_pool = pdflush && works == 0
#endif
	}
	atomic {
		if
		:: !registered -> skip
		:: registered && to_pool -> pdflush_queue_wb()
		:: registered && !to_pool -> TOUCH; dwork = true	/* mod_delayed_work() */
		fi;
		to_pool = false;
		work_lock = false
	}
	fi
}

/* wb_claim() */
inline wb_claim()
{
#ifdef MUT_CLAIM_NOT_ATOMIC
	atomic { TOUCH; got = !running };
	if
	:: got -> atomic { running = true; own() }
	:: else -> skip
	fi;
#else
	/* test_and_set_bit_lock() */
	atomic {
		TOUCH;
		if
		:: running -> got = false
		:: !running -> running = true; got = true; own()
		fi
	}
#endif
	if
	:: got -> skip
	:: !got ->
#if !defined(MUT_NO_WORD) && !defined(MUT_RETRY_BEFORE_WORD)
		atomic { TOUCH; claim_lost = true }
#endif
#ifndef MUT_NO_RETRY
		/* after the full barrier: once more */
		atomic {
			TOUCH;
			if
			:: running -> skip
			:: !running -> running = true; got = true; own()
			fi
		}
#endif
#ifdef MUT_RETRY_BEFORE_WORD
		if
		:: !got -> claim_lost = true
		:: got -> skip
		fi
#endif
	fi
}

/* wb_release() */
inline wb_release()
{
#ifdef MUT_TEST_BEFORE_CLEAR
	atomic { TOUCH; lost = claim_lost; claim_lost = false };
	atomic { TOUCH; owners--; running = false };
#else
	/* clear_bit_unlock() */
	atomic { TOUCH; owners--; running = false };
	/* after the full barrier: test_and_clear_bit() */
	atomic { TOUCH; lost = claim_lost; claim_lost = false };
#endif
	if
	:: lost -> lost = false; wb_wakeup(queued)
	:: !lost -> skip
	fi
}

/* wb_do_writeback(): the works, then everything else; past the last test it sees nothing new */
inline wb_do_writeback()
{
	do
	:: atomic { !work_lock && works > 0 -> TOUCH; works-- };
	   works_done++			/* finish_writeback_work() */
	:: atomic { !work_lock && works == 0 -> TOUCH; break }
	od;
	atomic {
		TOUCH;
		if
		:: need -> need = false
		:: !need -> skip
		fi
	}
}

/* pdflush_leave(): _again before _active, both under pool->lock */
inline pdflush_leave()
{
	atomic {
		TOUCH;
		assert(held);
#ifndef MUT_LEAVE_DROPS_AGAIN
		if
		:: again -> queued = true
		:: !again -> skip
		fi;
#endif
		again = false;
		held = false		/* wakes pdflush_drain_wb() */
	}
}

active [NTHREADS] proctype pdflush_thread()
{
	bool got, lost, to_pool;
#ifdef MUT_UNLINK_NO_BARRIER
	bool saw;
#endif

end_idle:
	do
	/* takes the head of the queue under pool->lock */
#ifdef MUT_UNLINK_NO_BARRIER
	/* nothing keeps the round's look behind the bit: it comes first */
	:: atomic { queued && !hung && (_pid == 0 || first_busy) -> saw = need };
	   if
	   :: atomic { !queued || held || hung -> saw = false; goto end_idle }
	   :: atomic {
		queued && !held && !hung ->
#else
	:: atomic {
		queued && !hung && (_pid == 0 || first_busy) ->
#endif
		first_busy = first_busy || _pid == 0;
		TOUCH;
		assert(!held);	/* I1: one thread per wb */
		queued = false;
		held = true
	   };
#ifdef MUT_UNLINK_NO_BARRIER
	   fi;
#endif
	   /* wb_pdflush_writeback() */
	   wb_claim();
	   if
	   :: got ->
#ifdef MUT_UNLINK_NO_BARRIER
		need = need && !saw;
		saw = false;
#else
		wb_do_writeback();
#endif
#ifdef MUT_ACTIVE_BEFORE_RELEASE
		pdflush_leave();
		wb_release()
	   :: !got -> pdflush_leave()
	   fi;
#else
		wb_release()
	   :: !got -> skip		/* the owner kicks again */
	   fi;
	   pdflush_leave();
#endif
	   atomic { got = false; first_busy = first_busy && _pid != 0 }
	od
}

/* wb_workfn() */
active proctype flusher()
{
	bool got, lost, to_pool;

end_idle:
	do
	:: atomic { dwork -> TOUCH; dwork = false; flusher_runs = true };
#ifdef MUT_FLUSHER_NO_CLAIM
	   atomic { TOUCH; running = true; got = true; own() };
#else
	   wb_claim();
#endif
	   if
	   :: got ->
more:		wb_do_writeback();
		if
		:: works > 0 -> goto more	/* while (!list_empty(&wb->work_list)) */
		:: else -> skip
		fi;
		wb_release();
#ifdef MUT_CYCLE_LOSER_SPINS
	   :: !got -> skip
	   fi;
	   if
	   :: works > 0 -> wb_wakeup(queued)
	   :: else -> skip
	   fi;
#else
		if
		:: works > 0 -> wb_wakeup(queued)	/* came after the last look */
		:: else -> skip
		fi
	   :: !got -> skip		/* returns at once: waking itself would spin */
	   fi;
#endif
	   got = false;
	   flusher_runs = false
	od
}

/* pdflush_tend(), hand-off: unlink and queue the dwork in one section under pool->lock */
active proctype handoff()
{
end_idle:
#ifdef MUT_NO_HANDOFF
	false
#else
	do
#ifdef MUT_HANDOFF_AFTER_UNLOCK
	:: atomic { queued && !frozen -> TOUCH; queued = false };
	   atomic { TOUCH; dwork = true }
#else
	:: atomic { queued && !frozen -> TOUCH; queued = false; dwork = true }
#endif
	od
#endif
}

/* balance_dirty_pages(), wb_start_writeback(), ... */
active proctype kicker()
{
	bool to_pool;
	byte n;
#ifdef MUT_KICK_NO_BARRIER
	bool early;
#endif

	do
	:: atomic { n < NKICKS && !no_new_callers -> n++; callers++ };
#ifdef MUT_KICK_NO_BARRIER
	   early = queued;
#endif
	   atomic { TOUCH; need = true };
#ifdef MUT_KICK_NO_BARRIER
	   wb_wakeup(early);
	   early = false;
#else
	   wb_wakeup(queued);
#endif
	   callers--
	:: n == NKICKS || no_new_callers -> break
	od
}

/*
 * sync(2), syncfs(2), umount: wb_queue_work() and wb_wait_for_completion().  Or a
 * filesystem low on space, which is brought to the pool if a thread is idle, and
 * has to wait for the timer if another wb gets that one first.
 */
active proctype syncer()
{
	if
	:: atomic { !no_new_callers -> callers++ };
	   works_sent++;
	   atomic {
		!work_lock -> TOUCH;
		if
		:: registered ->
			works++;
#ifdef MUT_EXPLICIT_TO_POOL
			pdflush_queue_wb()
#else
			if
			:: dwork = true		/* mod_delayed_work(): always the flusher */
			:: pdflush && !frozen -> low_space = true; pdflush_queue_wb()
			fi
#endif
		:: !registered -> works_done++
		fi
	   };
	   callers--
	:: atomic { no_new_callers -> skip }
	fi;
	works_done == works_sent	/* blocks for good, and is reported, if the work is lost: I3 */
}

/*
 * bdi_set_pdflush(), as far as it matters here; tick.pml has the rest.  Or other
 * devices hang: from then on no thread comes, perhaps not even the timer.
 */
active proctype switcher()
{
	if
	:: atomic { !low_space -> hung = true; frozen = true }
	:: hung = true
	:: pdflush = false;
	   pdflush = true
	fi
}

/* wb_shutdown(), then the memory goes */
active proctype remover()
{
	if
	:: skip;
#ifndef MUT_REGISTERED_LAST
	   atomic { !work_lock -> registered = false };
#endif
	   /* pdflush_drain_wb() */
	   atomic {
#ifndef MUT_DRAIN_KEEPS_QUEUED
		queued = false;
#endif
#ifndef MUT_DRAIN_KEEPS_AGAIN
		again = false;
#endif
		skip
	   };
#ifndef MUT_DRAIN_NO_WAIT
	   !held;
#endif
	   dwork = true;			/* mod_delayed_work() */
	   !dwork && !flusher_runs;		/* flush_delayed_work() */
#ifdef MUT_REGISTERED_LAST
	   atomic { !work_lock -> registered = false };
#endif
	   assert(works == 0);			/* as today's WARN_ON() */
	   no_new_callers = true;
	   callers == 0;			/* RCU and references */
	   freed = true
	:: skip				/* the device stays */
	fi;
	remover_done = true
}

/* Nobody can move any more: nothing may be left over. */
active proctype quiet()
{
	timeout;
	assert(works == 0 && works_done == works_sent);		/* I3 */
	assert(remover_done);					/* I9 */
	assert(!running && !held && !again && !dwork && !work_lock);
	/* I2 and I4: with every thread stuck elsewhere the hand-off serves the kick */
	assert(!registered || frozen || (!need && !queued));
	assert(registered || !queued)
}
