// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part "parallel" of scripts/measure: several threads on one device.
 * Included by measure.c.
 */

#define PARALLEL_MB	2048	/* of the device: ext4 has one goal below 512 */

/* The first is what the others are compared with. */
static const struct way parallel_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P automatic", true, 0, 4, 8, 0, 0 },
	{ "P 2 threads", true, 0, 4, 8, 0, 2 },
	{ "P 4 threads", true, 0, 4, 8, 0, 4 },
};

static const struct way knee_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P 1", true, 0, 8, 8, 0, 1 },
	{ "P 2", true, 0, 8, 8, 0, 2 },
	{ "P 3", true, 0, 8, 8, 0, 3 },
	{ "P 4", true, 0, 8, 8, 0, 4 },
	{ "P 6", true, 0, 8, 8, 0, 6 },
	{ "P 8", true, 0, 8, 8, 0, 8 },
};

static const char *parallel_path(const char *name, int i)
{
	return path_of("/mnt/%d/%s", i, name);
}

static void parallel_files(int nr, const char *name, long mb)
{
	int i, fd;
	long at;

	for (i = 0; i < nr; i++) {
		mkdir(path_of("/mnt/%d", i), 0755);
		fd = create(parallel_path(name, i));
		for (at = 0; at < mb; at++)
			write_at(fd, chunk, MB, at * MB);
		close(fd);
	}
}

#define RANDOM_FILES	12
#define RANDOM_MB	24
#define RANDOM_WRITES	12000	/* for each file */

static void random12_before(void)
{
	parallel_files(RANDOM_FILES, "random", RANDOM_MB);
}

static void random12(void)
{
	unsigned int state = 1;
	int i, j, fd;

	for (i = 0; i < RANDOM_FILES; i++) {
		fd = create(parallel_path("random", i));
		for (j = 0; j < RANDOM_WRITES; j++)
			write_at(fd, page, PAGE, (off_t)PAGE *
				 (next_random(&state) % (RANDOM_MB * MB / PAGE)));
		close(fd);
	}
}

static void large8(void)
{
	parallel_files(8, "large", 40);
}

static void one(void)
{
	parallel_files(1, "one", 300);
}

#define PARALLEL_SMALL	4000

static void small16(void)
{
	int i, fd;

	for (i = 0; i < 20; i++)
		mkdir(path_of("/mnt/%d", i), 0755);
	for (i = 0; i < PARALLEL_SMALL; i++) {
		fd = create(small_path(i));
		write_at(fd, chunk, 4 * PAGE, 0);
		close(fd);
	}
}

#define SPARSE_FILES	12
#define SPARSE_MB	512L
#define SPARSE_STEP	(4 * MB)	/* what an indirect block of ext2 leads to */

static void maps_before(void)
{
	int i, fd;
	off_t at;

	for (i = 0; i < SPARSE_FILES; i++) {
		mkdir(path_of("/mnt/%d", i), 0755);
		fd = create(parallel_path("random", i));
		for (at = 0; at < SPARSE_MB * MB; at += SPARSE_STEP)
			write_at(fd, page, PAGE, at);
		close(fd);
	}
	sync_mnt();
	put("/proc/sys/vm/drop_caches", "1\n");
}

/*
 * Pages that writeback must look up first: a page that is read and dirtied through
 * a mapping has no buffers, and the blocks that lead to it are dropped.
 */
static void maps(void)
{
	int i, fd;
	off_t at;
	char *p;

	for (i = 0; i < SPARSE_FILES; i++) {
		fd = create(parallel_path("random", i));
		p = mmap(NULL, SPARSE_MB * MB, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
		if (p == MAP_FAILED || madvise(p, SPARSE_MB * MB, MADV_RANDOM))
			fail("mmap");
		for (at = 0; at < SPARSE_MB * MB; at += SPARSE_STEP)
			p[at]++;
		munmap(p, SPARSE_MB * MB);
		close(fd);
	}
	fd = open("/dev/one", O_RDONLY);
	if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		fail("/dev/one");
	close(fd);
}

static unsigned int parallel_extents(void)
{
	unsigned int sum = 0;
	struct stat st;
	int i;

	for (i = 0; i < 12; i++) {
		if (!stat(parallel_path("random", i), &st))
			sum += extents(parallel_path("random", i));
		if (!stat(parallel_path("large", i), &st))
			sum += extents(parallel_path("large", i));
		if (!stat(parallel_path("one", i), &st))
			sum += extents(parallel_path("one", i));
	}
	for (i = 0; i < PARALLEL_SMALL; i += 10)
		if (!stat(small_path(i), &st))
			sum += extents(small_path(i));
	return sum;
}

/* In ms, of all CPUs together: what is not idle. */
static double cpu_ms(void)
{
	unsigned long v[8];
	char text[256];

	get("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &v[0], &v[1],
		   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		fail("/proc/stat");
	return (v[0] + v[1] + v[2] + v[5] + v[6]) * 10.0;
}

struct parallel {
	struct table	table;
	const char	*fs;
	const char	*options;
	double		delay_ms;
	bool		syncfs;		/* instead of a kick */
	void		(*before)(void);
	void		(*dirty)(void);
	struct row	*clean, *cpu, *requests, *extents, *read, *helped, *level;
};

/* What is there is read, file by file; ms. */
static double parallel_read(void)
{
	double start = now_ms();
	struct dirent *e;
	ssize_t got;
	DIR *dir;
	int i, fd;

	for (i = 0; i < 20; i++) {
		dir = opendir(path_of("/mnt/%d", i));
		while (dir && (e = readdir(dir))) {
			fd = openat(dirfd(dir), e->d_name, O_RDONLY);
			do
				got = read(fd, reading, MB);
			while (got > 0);
			close(fd);
		}
		if (dir)
			closedir(dir);
	}
	return now_ms() - start;
}

/*
 * No data is left.  An inode may be: ext4 changes it once more when the unwritten
 * extents of what has just been written are converted, whoever wrote it.
 */
static bool parallel_clean(const struct device *dev)
{
	char text[1024];

	bdi_stats(dev, text, sizeof(text));
	return !field(text, "b_io", 10) && !field(text, "b_more_io", 10) &&
	       field(text, "BdiReclaimable", 10) < 256 &&
	       !(field(text, "state", 16) & WB_WRITEBACK_RUNNING);
}

/* Until the device has had nothing to do for 200 ms; when that began. */
static double parallel_quiet(const struct device *dev)
{
	struct io io, last = { 0, 0, 0 };
	double changed = now_ms(), start = changed;

	for (;;) {
		io = device_io(dev);
		if (io.in_flight || io.sectors != last.sectors) {
			changed = now_ms();
			last = io;
		} else if (now_ms() - changed > 200 && parallel_clean(dev)) {
			return changed;
		}
		if (now_ms() - start > 60 * 1000)
			not_clean(dev);
		sleep_ms(4);
	}
}

static void parallel_run(int w, int round, void *arg)
{
	struct parallel *p = arg;
	const struct way *way = &p->table.ways[w];
	const struct null_params params = { PARALLEL_MB, true, p->delay_ms, 64, 0 };
	struct io first, last;
	struct device dev;
	double start, cpu;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	if (way->pdflush)
		put(path_of("/sys/class/bdi/%s/pdflush_max_threads", dev.bdi),
		    "%d\n", way->threads);
	mount_fs(&dev, p->fs, p->options);
	if (p->before)
		p->before();
	sync_mnt();
	p->dirty();
	first = device_io(&dev);
	cpu = cpu_ms();
	start = now_ms();
	if (p->syncfs) {
		sync_mnt();
		p->clean->value[w][round] = now_ms() - start;
	} else {
		kick();
		p->clean->value[w][round] = parallel_quiet(&dev) - start;
	}
	p->cpu->value[w][round] = cpu_ms() - cpu;
	last = device_io(&dev);
	p->requests->value[w][round] = last.requests - first.requests;
	p->helped->value[w][round] = bdi_counter(&dev, "helped");
	p->level->value[w][round] = bdi_counter(&dev, "helpers");
	sync_mnt();
	p->extents->value[w][round] = parallel_extents();
	if (umount("/mnt"))
		fail("umount");
	if (p->read) {
		if (mount(path_of("/dev/%s", dev.name), "/mnt", p->fs, MS_NOATIME, p->options))
			fail("mount");
		p->read->value[w][round] = parallel_read();
		if (umount("/mnt"))
			fail("umount");
	}
	null_destroy(&dev);
}

/*
 * How many times as fast as the flusher, in pairs; its limit is what all CPUs
 * together could do if they shared the flusher's work.  The tail is the worst run.
 */
static void print_gains(const struct parallel *p)
{
	double gain[MAX_ROUNDS], worst;
	int w, i;

	for (w = 1; w < p->table.nr_ways; w++) {
		worst = 0;
		for (i = 0; i < rounds; i++) {
			gain[i] = p->clean->value[0][i] / p->clean->value[w][i];
			worst = fmax(worst, p->clean->value[w][i]);
		}
		printf("  %s: %.2f times as fast", p->table.ways[w].name,
		       median(gain, rounds));
		qsort(gain, rounds, sizeof(*gain), compare);
		printf(" [%.2f-%.2f], worst run %.2f of the median\n", gain[0],
		       gain[rounds - 1],
		       worst / median(p->clean->value[w], rounds));
	}
	worst = 0;
	for (i = 0; i < rounds; i++) {
		worst = fmax(worst, p->clean->value[0][i]);
		gain[i] = p->clean->value[0][i] * sysconf(_SC_NPROCESSORS_ONLN) /
			  p->cpu->value[0][i];
	}
	printf("  limit by CPUs %.2f; the flusher's worst run %.2f of its median\n",
	       median(gain, rounds), worst / median(p->clean->value[0], rounds));
	fflush(stdout);
}

static void parallel(const char *title, const struct way *ways, int nr_ways,
		     const char *fs, const char *options,
		     double delay_ms, bool syncfs, void (*before)(void),
		     void (*dirty)(void))
{
	struct parallel p = {
		.table = { .title = title, .ways = ways, .nr_ways = nr_ways },
		.fs = fs, .options = options, .delay_ms = delay_ms,
		.syncfs = syncfs, .before = before, .dirty = dirty,
	};

	p.clean = add_row(&p.table, syncfs ? "syncfs, ms" : "time to clean, ms");
	p.cpu = add_row(&p.table, "CPU time, both, ms");
	p.requests = add_row(&p.table, "write requests");
	p.extents = add_row(&p.table, "extents");
	if (delay_ms < 1)
		p.read = add_row(&p.table, "read after a remount, ms");
	p.helped = add_row(&p.table, "times that a thread helped");
	p.level = add_row(&p.table, "helpers it came to");
	take_turns(&p.table, true, parallel_run, &p);
	print_table(&p.table);
	print_gains(&p);
}

/* ---- writers that are held back ---- */

#define THROTTLED_WRITERS	4
#define THROTTLED_FILES		3	/* each */
#define THROTTLED_MB		16	/* of a file, over and over */
#define THROTTLED_MS		3000

static long throttled_wrote[THROTTLED_WRITERS];

static void *throttled_writer(void *arg)
{
	long i = (long)arg, n = 0;
	double start = now_ms();
	int fd[THROTTLED_FILES], f;

	for (f = 0; f < THROTTLED_FILES; f++) {
		char path[64];

		snprintf(path, sizeof(path), "/mnt/%ld/throttled",
			 i * THROTTLED_FILES + f);
		fd[f] = create(path);
	}
	while (now_ms() - start < THROTTLED_MS) {
		write_at(fd[n % THROTTLED_FILES], chunk, MB,
			 n / THROTTLED_FILES % THROTTLED_MB * MB);
		n++;
	}
	throttled_wrote[i] = n;
	for (f = 0; f < THROTTLED_FILES; f++)
		close(fd[f]);
	return NULL;
}

static void throttled_run(int w, int round, void *arg)
{
	struct parallel *p = arg;
	const struct way *way = &p->table.ways[w];
	const struct null_params params = { PARALLEL_MB, true, p->delay_ms, 64, 0 };
	pthread_t thread[THROTTLED_WRITERS];
	struct io first, last;
	struct device dev;
	double start, cpu;
	long i, mb = 0;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	if (way->pdflush)
		put(path_of("/sys/class/bdi/%s/pdflush_max_threads", dev.bdi),
		    "%d\n", way->threads);
	mount_fs(&dev, p->fs, p->options);
	parallel_files(THROTTLED_WRITERS * THROTTLED_FILES, "throttled", THROTTLED_MB);
	sync_mnt();
	limits(32, 64, 360000);
	first = device_io(&dev);
	cpu = cpu_ms();
	start = now_ms();
	for (i = 0; i < THROTTLED_WRITERS; i++)
		if (pthread_create(&thread[i], NULL, throttled_writer, (void *)i))
			fail("pthread_create");
	for (i = 0; i < THROTTLED_WRITERS; i++) {
		pthread_join(thread[i], NULL);
		mb += throttled_wrote[i];
	}
	/* as a rate is what is looked for, time for each of 1000 MB */
	p->clean->value[w][round] = (now_ms() - start) * 1000 / mb;
	p->cpu->value[w][round] = (cpu_ms() - cpu) * 1000 / mb;
	last = device_io(&dev);
	p->requests->value[w][round] = (last.requests - first.requests) * 1000.0 / mb;
	p->helped->value[w][round] = bdi_counter(&dev, "helped");
	p->level->value[w][round] = bdi_counter(&dev, "helpers");
	limits(1000, 1500, 360000);
	sync_mnt();
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void throttled(const char *title, const char *fs, const char *options)
{
	struct parallel p = {
		.table = { .title = title, .ways = parallel_ways, .nr_ways = 2 },
		.fs = fs, .options = options,
	};

	p.clean = add_row(&p.table, "ms for 1000 MB");
	p.cpu = add_row(&p.table, "CPU time, writers and writeback, ms");
	p.requests = add_row(&p.table, "write requests");
	p.helped = add_row(&p.table, "times that a thread helped");
	p.level = add_row(&p.table, "helpers it came to");
	take_turns(&p.table, true, throttled_run, &p);
	print_table(&p.table);
	print_gains(&p);
}

static void part_parallel(void)
{
	const struct null_params params = { PARALLEL_MB, true, 0, 64, 0 };
	const char *only = getenv("only");

	quiet();
	print_raw(&params);
#define P(id, title, ...)						\
	do {								\
		if (!only || !strcmp(only, id))				\
			parallel(title, parallel_ways, 3, __VA_ARGS__);	\
	} while (0)
#define EXT4	"ext4", "commit=3000"
#define EXT4_N	"ext4", "commit=3000,nodelalloc"
#define XFS	"xfs", NULL
#define EXT2	"ext2", NULL
	P("random", "ext4, 12 files, random 4k", EXT4, 0, false, random12_before, random12);
	P("random", "xfs, the same", XFS, 0, false, random12_before, random12);
	P("random", "ext2, the same", EXT2, 0, false, random12_before, random12);
	P("large", "ext4, 8 files of 40 MB", EXT4, 0, false, NULL, large8);
	P("large", "xfs, the same", XFS, 0, false, NULL, large8);
	P("one", "ext4, one file of 300 MB", EXT4, 0, false, NULL, one);
	P("one", "xfs, the same", XFS, 0, false, NULL, one);
	P("small", "xfs, 4000 files of 16 kB", XFS, 0, false, NULL, small16);
	P("small", "ext4, the same", EXT4, 0, false, NULL, small16);
	P("small", "ext4 nodelalloc, the same", EXT4_N, 0, false, NULL, small16);
	P("latency", "ext4, 12 files, random 4k, 0.5 ms a request", EXT4, 0.5, false, random12_before, random12);
	P("latency", "xfs, the same", XFS, 0.5, false, random12_before, random12);
	P("latency", "xfs, 4000 files of 16 kB, 0.5 ms", XFS, 0.5, false, NULL, small16);
	P("latency", "ext4, the same", EXT4, 0.5, false, NULL, small16);
	P("syncfs", "ext4, 12 files, random 4k, syncfs", EXT4, 0, true, random12_before, random12);
	P("syncfs", "xfs, the same", XFS, 0, true, random12_before, random12);
	P("syncfs", "xfs, 4000 files of 16 kB, syncfs", XFS, 0, true, NULL, small16);
	P("syncfs", "ext4, the same", EXT4, 0, true, NULL, small16);
	if (!only || !strcmp(only, "maps"))
		parallel("ext2, a page for each indirect block of 12 files, 1 ms a request",
			 parallel_ways, 4, EXT2, 1, false, maps_before, maps);
	if (!only || !strcmp(only, "throttled")) {
		throttled("ext4, 4 writers of 3 files each, held back", EXT4);
		throttled("xfs, the same", XFS);
	}
	if (!only || !strcmp(only, "knee")) {
		parallel("xfs, 12 files, random 4k, by threads", knee_ways, 7,
			 XFS, 0, false, random12_before, random12);
		parallel("ext2, a page for each indirect block, 1 ms, by threads",
			 knee_ways, 7, EXT2, 1, false, maps_before, maps);
	}
#undef P
}
