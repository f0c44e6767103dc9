/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several threads on one wb: a round that its leader shares with helpers.
 *
 * The leader holds the claim.  It opens the round under list_lock and invites idle
 * threads under pool->lock; they follow (and are counted) under pool->lock, take
 * inodes off b_io under list_lock while the round is open, one at a time, and write
 * them without it.  The leader closes the round, withdraws what nobody has followed,
 * waits for the count to be zero, and may open the round again; at its end the
 * round is gone, for it is on the leader's stack, and the claim is released.  That the
 * round is closed only makes the helpers leave sooner: withdrawing and waiting are
 * what the rest depends on.
 *
 * One leader, NHELPERS threads, NINODES inodes of one page, of which one may be
 * written a second time, a budget, and a wb_shutdown() that comes at any time.  A
 * section under list_lock or pool->lock is one step.
 */

#define NHELPERS	2
#define NINODES		3
#define BUDGET		3	/* pages: work->nr_pages */

/* An inode: clean; on b_io; on round->busy, in somebody's hands; on b_more_io */
#define CLEAN	0
#define IO	1
#define BUSY	2
#define MORE	3

byte inode[NINODES] = IO;
byte writers[NINODES];		/* I11: who writes it */

bool claim;			/* the leader's, from wb_claim() to wb_release() */
bool held;			/* WB_pdflush_active: the leader has the wb */
bool queued = true;		/* WB_pdflush_queued */

/* struct wb_round */
bool round_there;		/* on the leader's stack */
bool is_open;			/* open: list_lock */
bool invited[NHELPERS];		/* pool->lock: worker->round is set, it has not come */
byte nr_helpers;		/* pool->lock */
short nr_pages;			/* list_lock: what is left of the budget */

bool idle[NHELPERS];		/* on pool->idle */
bool freed;			/* the wb, after wb_shutdown() */
bool remover_done;

/* What is asserted about, not part of the protocol. */
byte written;			/* pages */
bool again = true;		/* one inode gets dirty while it is written, once */

#define TOUCH_WB	assert(!freed)			/* I9 */
#define TOUCH_ROUND	assert(round_there)		/* I16 */
#define INVITED		(invited[0] || invited[1])

/*
 * writeback_sb_inodes(): the next of b_io, if there is any and the budget allows;
 * n is NINODES if not.  Under list_lock.
 */
inline take_inode()
{
	TOUCH_WB;
	n = 0;
	do
	:: n < NINODES && inode[n] == IO && nr_pages > 0 -> break
	:: n < NINODES && (inode[n] != IO || nr_pages <= 0) -> n++
	:: n == NINODES -> break
	od;
	if
	:: n < NINODES ->
#ifndef MUT_INODE_STAYS_LISTED
		inode[n] = BUSY;	/* wb_round_take() */
#endif
		skip
	:: else
	fi
}

/* Without a lock; whoever does it needs the claim and the wb. */
inline write_inode()
{
	atomic {
		TOUCH_WB;
		assert(claim);			/* I1 */
		writers[n]++;
		assert(writers[n] == 1)		/* I11 */
	};
	atomic {
		TOUCH_WB;
		assert(claim);
		writers[n]--;
		written++
	}
}

/* requeue_inode() and wb_round_settle(), under list_lock */
inline put_inode()
{
	TOUCH_WB;
	if
	:: inode[n] = CLEAN
	:: again -> again = false; inode[n] = MORE
	fi;
	TOUCH_ROUND;
#ifndef MUT_BUDGET_NOT_CHARGED
	nr_pages--;
#endif
#ifdef MUT_BUDGET_CHARGED_TWICE
	nr_pages--;
#endif
	n = 0
}

inline invite(t)
{
#ifdef MUT_WITHDRAWN_IS_COUNTED
	nr_helpers++;
#endif
	invited[t] = true
}

/* The leader: wb_round_close() */
inline close_round()
{
	atomic { TOUCH_ROUND; is_open = false };
	/* pdflush_dismiss() */
	atomic {
#ifndef MUT_INVITATION_STAYS
		invited[0] = false;
		invited[1] = false;
#endif
		skip
	};
#ifndef MUT_LEADER_DOES_NOT_WAIT
	nr_helpers == 0;
#endif
}

/* The round of a leader: wb_writeback(), in a pool thread or the flusher */
active proctype leader()
{
	byte n;
	bool progress;

	if
	:: atomic { queued -> queued = false; held = true }
	:: atomic { !queued -> goto out }	/* wb_shutdown() was first */
	fi;
	atomic { TOUCH_WB; assert(!claim); claim = true };
	atomic { round_there = true; nr_pages = BUDGET };
	do
	:: /* queue_io(), then wb_round_share(): open, and invite who is idle */
	   atomic {
		TOUCH_WB;
		n = 0;
		do
		:: n < NINODES && inode[n] == MORE -> inode[n] = IO; n++
		:: n < NINODES && inode[n] != MORE -> n++
		:: n == NINODES -> n = 0; break
		od;
		progress = false;
		is_open = true;
		if
		:: idle[0] -> idle[0] = false; invite(0)
		:: true
		fi;
		if
		:: idle[1] -> idle[1] = false; invite(1)
		:: true
		fi
	   };
	   do
	   :: atomic {
		take_inode();
		if
		:: n == NINODES -> n = 0; break
		:: else
		fi
	      };
	      write_inode();
	      atomic { put_inode(); progress = true }
	   od;
	   /* nothing found: what the helpers have put back is part of the round */
	   if
	   :: !progress ->
#ifdef MUT_CLAIM_RELEASED_EARLY
		claim = false;
#endif
		close_round();
		atomic {
			if
			:: nr_pages > 0 && (inode[0] == MORE || inode[1] == MORE || inode[2] == MORE)
			:: else -> break
			fi
		}
	   :: progress
	   fi
	od;
	atomic {
		/* Who is on busy now stays there for good. */
		assert(inode[0] != BUSY && inode[1] != BUSY && inode[2] != BUSY);
#if !defined(MUT_LEADER_DOES_NOT_WAIT)
		assert(nr_helpers == 0);
#endif
		/* Each page was charged once. */
		assert(nr_pages == BUDGET - written);
		assert(!INVITED);
		round_there = false
	};
	atomic { TOUCH_WB; claim = false };	/* wb_release() */
	atomic { TOUCH_WB; held = false };	/* pdflush_leave() */
out:
	skip
}

/* A thread of the pool that may be invited; awake and not invited it goes to sleep */
active [NHELPERS] proctype helper()
{
	byte n, me = _pid - 1;

	idle[me] = true;
end_idle:
	do
	:: atomic {
		!idle[me] && invited[me] ->
		/* pdflush_help(): follows the invitation, under pool->lock */
		TOUCH_ROUND;
#ifdef MUT_FOLLOW_NOT_ATOMIC
		skip
	   };
	   atomic {
		TOUCH_ROUND;
#endif
#if !defined(MUT_HELPER_NOT_COUNTED) && !defined(MUT_WITHDRAWN_IS_COUNTED)
		nr_helpers++;
#endif
		invited[me] = false
	   };
	   /* wb_help() */
	   do
	   :: atomic {
		TOUCH_ROUND;
		if
		:: !is_open -> break
		:: is_open
		fi;
		take_inode();
		if
		:: n == NINODES -> n = 0; break
		:: else
		fi
	      };
#ifdef MUT_HELPER_LEAVES_EARLY
	      atomic { nr_helpers-- };
#endif
	      write_inode();
	      atomic { put_inode() };
#ifdef MUT_HELPER_LEAVES_EARLY
	      atomic { nr_helpers++ };
#endif
	      /* one that is not wanted any more leaves after its inode */
	      if
	      :: break
	      :: skip
	      fi
	   od;
	   atomic {
		TOUCH_ROUND;
#ifndef MUT_HELPER_NOT_COUNTED
		nr_helpers--;
#endif
		skip
	   }
	/* withdrawn before it came, or done: under pool->lock */
	:: atomic { !idle[me] && !invited[me] -> idle[me] = true }
	od
}

/* wb_shutdown(): pdflush_drain_wb(), then the wb goes */
active proctype remover()
{
	queued = false;
#ifndef MUT_DRAIN_NO_WAIT
	!held;
#endif
	atomic { assert(!claim && nr_helpers == 0 && !INVITED); freed = true };
	remover_done = true
}

/* Nobody can move any more. */
active proctype quiet()
{
	timeout;
	assert(remover_done && !held && !claim && !round_there);
	assert(nr_helpers == 0 && !INVITED && idle[0] && idle[1]);
	assert(nr_pages >= -NHELPERS)		/* one inode each at the end */
}
