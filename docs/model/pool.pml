/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pool: idle threads, growth, retirement, hand-off.
 *
 * Two wbs, the device of the first may hang for good; a maximum that goes from
 * two threads to one and back, a minimum of one; creation that may fail; users
 * that come and go.  One slot more than the maximum, so that a thread too many
 * has somewhere to be.  Claim and flusher are in claim.pml: here a handed-off
 * wb counts as served.
 *
 * A section under pool->lock is one atomic step.  Which of several waiting wbs
 * is the head and how much time has passed are free choices, which allows more
 * than the queue and the clock do.
 */

#define NWB	2
#define MAX	2
#define NSLOTS	MAX
#define MIN	1

/* A thread: not there; created; at work; idle list; woken from it; marked for retirement */
#define NONE	0
#define NEW	1
#define BUSY	2
#define IDLE	3
#define WOKEN	4
#define MARKED	5

/* Under pool->lock. */
byte thread[NSLOTS];
byte count;			/* slots taken, vm.nr_pdflush_threads */
byte max = MAX;
byte users;
bool queued[NWB], held[NWB], again[NWB];
bool timer;			/* pool->timer is pending */
bool manage;			/* pool->manager is pending */
byte creating;			/* slots taken for threads that have not run yet */

bool need[NWB];			/* something to write, set before the kick */

/* What is asserted about, not part of the protocol. */
byte live;			/* threads that exist */
bool hung;			/* a thread is stuck in the first wb's device */
bool started;			/* the minimum has been reached since the last user came */

#define NQUEUED		(queued[0] + queued[1])
#define IS(s)		((thread[0] == s) + (thread[1] == s))
#define NIDLE		IS(IDLE)

/* Creation may still fail: a thread that has not run yet does not count. */
#ifdef MUT_RETIRE_COUNTS_RESERVED
#define SURPLUS		(count > MIN)
#define OVER		(count > max)
#else
#define SURPLUS		(count > MIN + creating)
#define OVER		(count > max + creating)
#endif

/* Holds whenever pool->lock is free: nothing waits while a thread is idle that nobody woke. */
inline sane()
{
	assert(NIDLE == 0 || NQUEUED <= IS(WOKEN));		/* I2, I4 */
	assert(live <= count && live <= MAX);			/* I5 */
	/* I5: the minimum, once reached, stays; the manager does not run for it */
	assert(!started || users == 0 || count >= MIN)
}

/* wake up one idle thread; it is taken off the idle list here, not when it runs */
inline wake_one()
{
#ifndef MUT_KICK_NO_WAKE
	if
#ifdef MUT_WAKE_STAYS_LISTED
	:: thread[0] == IDLE
	:: thread[0] != IDLE && thread[1] == IDLE
#else
	:: thread[0] == IDLE -> thread[0] = WOKEN
	:: thread[0] != IDLE && thread[1] == IDLE -> thread[1] = WOKEN
#endif
	:: NIDLE == 0
	fi
#else
	skip
#endif
}

inline give_back()
{
	assert(NQUEUED == 0 || OVER);	/* I2: leaves no work it could do */
	count--;
	live--;
	thread[me] = NONE;
	if
	:: users == 0 && count == 0 -> started = false
	:: else
	fi
}

/* pool_unlink(): the timer goes with the last one that waited, or is set for the rest */
inline emptied()
{
	if
#ifdef MUT_DISARM_FORGETS
	:: NQUEUED == 0 -> timer = false
#else
	:: NQUEUED == 0 ->
		timer = (NIDLE > 0 && (SURPLUS || users == 0)) || (users > 0 && count < MIN)
#endif
	:: else
	fi
}

inline take(w)
{
	assert(!held[w]);			/* I1 */
	queued[w] = false;
	held[w] = true;
	thread[me] = BUSY;
	cur = w;
	emptied()
}

/* pdflush_thread() */
active [NSLOTS] proctype pdflush_thread()
{
	byte me = _pid;
	byte cur;
	bool fresh;			/* just created, or a round has ended */

end_none:
	thread[me] == NEW;
	fresh = true;
look:	/* at the queue, under pool->lock */
#ifdef MUT_NEW_SLEEPS
	atomic {
		if
		:: thread[me] == NEW -> creating--; thread[me] = IDLE; goto sleep
		:: else
		fi
	};
#endif
	atomic {
		if
		:: thread[me] == NEW ->
			thread[me] = BUSY;
			creating--;
			started = users > 0
		:: else
		fi;
		if
		:: fresh && OVER -> fresh = false; give_back(); goto end_none
#ifdef MUT_RETIRE_NO_LOOK
		:: thread[me] == MARKED -> give_back(); goto end_none
		:: !(fresh && OVER) && thread[me] != MARKED && queued[0] -> take(0)
		:: !(fresh && OVER) && thread[me] != MARKED && queued[1] -> take(1)
#else
		:: !(fresh && OVER) && queued[0] -> take(0)
		:: !(fresh && OVER) && queued[1] -> take(1)
#endif
		:: !(fresh && OVER) && NQUEUED == 0 ->
			fresh = false;
			if
#ifdef MUT_RETIRE_NO_RECHECK
			:: thread[me] == MARKED || users == 0 ->
#else
			/* the mark is a hint: whether it goes is decided here */
			:: (thread[me] == MARKED && SURPLUS) || users == 0 ->
#endif
				give_back();
				sane();
				goto end_none
			:: else ->
				thread[me] = IDLE;
#ifndef MUT_IDLE_NO_TIMER
				if
				:: SURPLUS -> timer = true
				:: else
				fi;
#endif
				sane();
				goto sleep
			fi
		fi;
		sane()
	};
	/* wb_pdflush_writeback() */
	if
	:: cur == 0 ->
		atomic { hung = true };
end_hung:	false
	:: need[cur] = false
	fi;
	/* pdflush_leave() */
	atomic {
		if
		:: again[cur] -> again[cur] = false; queued[cur] = true; timer = true; wake_one()
		:: else
		fi;
		held[cur] = false;
		cur = 0;
		fresh = true;
		sane()
	};
	goto look;

sleep:
end_idle:
	thread[me] == WOKEN || thread[me] == MARKED;
	goto look
}

/* pdflush_manage(): a work item, so one at a time */
#ifdef MUT_RESERVE_LATE
active [2] proctype manager()
#else
active proctype manager()
#endif
{
end_idle:
	do
	:: atomic { manage -> manage = false };
	   do
	   /* the decision, under pool->lock */
	   :: atomic {
		users > 0 && count < max && (count < MIN || (NQUEUED > 0 && NIDLE == 0)) ->
		creating++;
#ifndef MUT_RESERVE_LATE
		count++;
#endif
		assert(count <= max);		/* I5 */
		sane()
	      };
	      /* kthread_create() without any lock: works, or does not */
	      if
	      :: atomic {
			live++;
			assert(live <= MAX);		/* I5 */
#ifdef MUT_RESERVE_LATE
			count++;
			assert(count <= max);
#endif
			if
			:: thread[0] == NONE -> thread[0] = NEW
			:: thread[0] != NONE -> assert(thread[1] == NONE); thread[1] = NEW
			fi;
			sane()
		 }
	      :: atomic {
			creating--;
#if !defined(MUT_NO_GIVE_BACK) && !defined(MUT_RESERVE_LATE)
			count--;
#endif
#ifndef MUT_FAIL_NO_TIMER
			timer = true;		/* the next try comes with the pool timer */
#endif
			sane()
		 };
		 break
	      fi
	   :: atomic { !(users > 0 && count < max && (count < MIN || (NQUEUED > 0 && NIDLE == 0))) -> break }
	   od
	od
}

inline mark(i)
{
	if
	:: thread[i] == IDLE && (OVER || users == 0 || SURPLUS) -> thread[i] = MARKED
	:: thread[i] == IDLE && !OVER && users > 0	/* not idle for long enough */
	:: thread[i] != IDLE
	fi
}

/* pdflush_tend() */
active proctype tend()
{
end_idle:
	do
	:: atomic {
		timer ->
		timer = false;
#ifndef MUT_NO_HANDOFF
		/* the flusher serves what has waited too long */
		if
		:: queued[0] -> queued[0] = false; need[0] = false
		:: true
		fi;
		if
		:: queued[1] -> queued[1] = false; need[1] = false
		:: true
		fi;
#endif
		/* growth, and the minimum after a failure */
		if
		:: users > 0 && count < max && NQUEUED > 0 && NIDLE == 0 -> manage = true
		:: users > 0 && count < MIN -> manage = true
		:: else
		fi;
		mark(0);
		mark(1);
		if
#ifdef MUT_NO_HANDOFF
		:: NQUEUED > 0 && users > 0 && count < max -> timer = true
		:: !(NQUEUED > 0 && users > 0 && count < max) &&
		   NIDLE > 0 && (count > MIN || users == 0) -> timer = true
#else
		:: NQUEUED > 0 || (NIDLE > 0 && (count > MIN || users == 0)) -> timer = true
#endif
		:: else
		fi;
		sane()
	   }
	od
}

/* wb_wakeup() of a pdflush device */
active [NWB] proctype kicker()
{
	byte w = _pid - NSLOTS - 2;
	byte n;

#ifdef MUT_RESERVE_LATE
	w = w - 1;
#endif
	do
	:: n <= w ->
		n++;
		need[w] = true;
		/* pdflush_queue_wb(), under pool->lock */
		atomic {
			if
			:: users == 0 -> need[w] = false	/* refused: the flusher gets it */
			:: users > 0 && queued[w]
			:: users > 0 && !queued[w] && held[w] -> again[w] = true
			:: users > 0 && !queued[w] && !held[w] ->
				queued[w] = true;
				timer = true;
				wake_one()
			fi;
			sane()
		}
	:: n > w -> break
	od
}

/* bdi_set_pdflush(): the pool's side of it */
active proctype switcher()
{
	atomic { users++; manage = true; sane() };
	if
	:: true
	:: atomic {
		true ->
		users--;
		started = false;
#ifndef MUT_DROP_NO_TIMER
		timer = true;			/* idle threads leave at once */
#endif
		sane()
	   };
	   if
	   :: true
	   :: atomic { true -> users++; manage = true; sane() }
	   fi
	fi
}

/* vm.nr_pdflush_threads_max */
active proctype sysctl_max()
{
	if
	:: true
	:: atomic {
		max = 1;		/* idle threads above the minimum have the timer armed */
		sane()
	   };
	   if
	   :: max = 2
	   :: true
	   fi
	fi
}

/* Nobody can move any more. */
active proctype quiet()
{
	timeout;
	assert(NQUEUED == 0 && !need[1]);			/* I2, I4: hung or not */
	assert(hung || !need[0]);
	assert(count == live);					/* I5: honest */
	assert(IS(WOKEN) == 0 && IS(NEW) == 0 && IS(MARKED) == 0);
	assert(users == 0 || count >= MIN);			/* I5 */
	assert(hung || count <= max);
	assert(users > 0 || count == hung);			/* I6: no device, no thread */
	assert(hung || NIDLE == count)
}
