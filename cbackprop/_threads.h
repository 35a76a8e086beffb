/* Teams of threads on the C library's own: borrowed for a call, fed with jobs, asleep when there are none.

A team is the calling thread and workers out of one pool for the whole process. A job is a function that does one
numbered share of a piece of work; the caller does share 0. Workers that nobody has borrowed wait in the pool; one is
made only if none waits there. They never end: the process's end ends them wherever they are.

A worker computes in the caller's floating-point mode: _float_mode.pxd is to be included before. */

#ifndef CBACKPROP_THREADS_H
#define CBACKPROP_THREADS_H

#include <stddef.h>
#include <stdint.h>

typedef void (*cbackprop_job)(void *context, ptrdiff_t share, ptrdiff_t n_shares);

#if defined(_WIN32)

typedef struct { ptrdiff_t n_threads; } cbackprop_team;

static void cbackprop_hire(cbackprop_team *team, ptrdiff_t n_threads) { (void)n_threads; team->n_threads = 1; }
static void cbackprop_dismiss(cbackprop_team *team) { (void)team; }
static int cbackprop_is_left(const cbackprop_team *team) { (void)team; return 0; }
static void cbackprop_give(
    cbackprop_team *team, ptrdiff_t n_shares, cbackprop_job job, void *context) {
    (void)team; (void)n_shares; (void)job; (void)context;
}
static int cbackprop_claim(cbackprop_team *team, ptrdiff_t share) { (void)team; (void)share; return 1; }
static int cbackprop_wait(cbackprop_team *team, ptrdiff_t share) { (void)team; (void)share; return 1; }
static void cbackprop_enter(void) {}
static void cbackprop_leave(void) {}
static long cbackprop_callers(void) { return 1; }
static int cbackprop_watch_forks(void) { return 0; }

#else

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

static void cbackprop_pause(void) {
#if defined(__SSE2__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
}

enum {
    CBACKPROP_SPINS = 1000, /* some tens of microseconds, longer than what lies between two jobs of a step */
    CBACKPROP_STACK = 1 << 20,
    CBACKPROP_LOOK_MS = 20
};

/* ---- a number that one thread changes and another waits for ---- */

typedef struct {
    long value;
    int asleep; /* whether somebody waits without spinning */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} __attribute__((aligned(64))) cbackprop_gate;

static void cbackprop_change(cbackprop_gate *gate, long value) {
    /* One side writes the value and then looks for sleepers, the other says that it sleeps and then looks at the
       value: in one order for all, so that at least one of them sees the other. */
    __atomic_store_n(&gate->value, value, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&gate->asleep, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&gate->mutex);
        pthread_cond_signal(&gate->changed);
        pthread_mutex_unlock(&gate->mutex);
    }
}

/* Waits for another value than the last one, and returns it; with look_ms > 0 it gives up after so long, asleep. */
static long cbackprop_await(cbackprop_gate *gate, long last, int look_ms) {
    struct timespec until;
    long value;
    int late = 0;
    for (int i = 0; i < CBACKPROP_SPINS; i++) {
        if ((value = __atomic_load_n(&gate->value, __ATOMIC_ACQUIRE)) != last)
            return value;
        cbackprop_pause();
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += look_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&gate->mutex);
    __atomic_store_n(&gate->asleep, 1, __ATOMIC_SEQ_CST);
    while ((value = __atomic_load_n(&gate->value, __ATOMIC_SEQ_CST)) == last && !late)
        late = look_ms ? pthread_cond_timedwait(&gate->changed, &gate->mutex, &until)
                       : pthread_cond_wait(&gate->changed, &gate->mutex);
    __atomic_store_n(&gate->asleep, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&gate->mutex);
    return value;
}

/* ---- workers ---- */

typedef struct cbackprop_worker {
    cbackprop_gate given, done; /* the numbers of the last jobs */
    long claimed; /* the number of the last job that somebody began: the worker, or a caller who would have waited */
    cbackprop_job job;
    void *context;
    ptrdiff_t share, n_shares;
    uint64_t float_mode;
    struct cbackprop_worker *next; /* in the pool, or in a team */
} cbackprop_worker;

typedef struct {
    ptrdiff_t n_threads; /* with the caller */
    cbackprop_worker *workers;
    long process; /* in which they live */
} cbackprop_team;

static struct {
    pthread_mutex_t mutex;
    cbackprop_worker *idle;
    long process; /* counts the forks that led here: a child has none of its parent's threads */
    long callers; /* that compute at this moment */
} cbackprop_pool = {PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0};

static __thread long cbackprop_inside; /* of the callers, how many are this thread (a signal handler may compute) */

static int cbackprop_begin(cbackprop_worker *worker, long job) {
    long before = __atomic_load_n(&worker->claimed, __ATOMIC_RELAXED);
    return before < job && __atomic_compare_exchange_n(
        &worker->claimed, &before, job, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void *cbackprop_work(void *argument) {
    cbackprop_worker *worker = (cbackprop_worker *)argument;
    long job = 0;
    for (;;) {
        job = cbackprop_await(&worker->given, job, 0);
        if (!cbackprop_begin(worker, job))
            continue;
        cbackprop_set_float_mode(worker->float_mode);
        worker->job(worker->context, worker->share, worker->n_shares);
        cbackprop_change(&worker->done, job);
    }
    return NULL;
}

static cbackprop_worker *cbackprop_new_worker(void) {
    cbackprop_worker *worker = NULL;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failed;
    if (posix_memalign((void **)&worker, 64, sizeof(cbackprop_worker)))
        return NULL;
    *worker = (cbackprop_worker){
        .given = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER},
        .done = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    if (pthread_attr_init(&attributes)) {
        free(worker);
        return NULL;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, CBACKPROP_STACK);
    /* signals go to Python's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, cbackprop_work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) {
        free(worker);
        return NULL;
    }
    return worker;
}

/* ---- forks ---- */

static void cbackprop_before_fork(void) { pthread_mutex_lock(&cbackprop_pool.mutex); }
static void cbackprop_in_parent(void) { pthread_mutex_unlock(&cbackprop_pool.mutex); }
static void cbackprop_in_child(void) {
    cbackprop_pool.idle = NULL;
    cbackprop_pool.process++;
    cbackprop_pool.callers = cbackprop_inside;
    pthread_mutex_unlock(&cbackprop_pool.mutex);
}

static int cbackprop_watch_forks(void) {
    return pthread_atfork(cbackprop_before_fork, cbackprop_in_parent, cbackprop_in_child);
}

/* ---- teams ---- */

/* As many threads as can be had, up to n_threads. */
static void cbackprop_hire(cbackprop_team *team, ptrdiff_t n_threads) {
    cbackprop_worker *worker;
    team->n_threads = 1;
    team->workers = NULL;
    pthread_mutex_lock(&cbackprop_pool.mutex);
    team->process = cbackprop_pool.process;
    while (team->n_threads < n_threads) {
        worker = cbackprop_pool.idle;
        if (worker)
            cbackprop_pool.idle = worker->next;
        else if (!(worker = cbackprop_new_worker()))
            break;
        worker->next = team->workers;
        team->workers = worker;
        team->n_threads++;
    }
    pthread_mutex_unlock(&cbackprop_pool.mutex);
}

/* Its workers go back to the pool. */
static void cbackprop_dismiss(cbackprop_team *team) {
    cbackprop_worker *worker;
    pthread_mutex_lock(&cbackprop_pool.mutex);
    while ((worker = team->workers)) {
        team->workers = worker->next;
        if (team->process == cbackprop_pool.process) {
            worker->next = cbackprop_pool.idle;
            cbackprop_pool.idle = worker;
        } else
            free(worker);
    }
    pthread_mutex_unlock(&cbackprop_pool.mutex);
}

/* Whether this is a child of the process that hired the team, and its threads are not here. */
static int cbackprop_is_left(const cbackprop_team *team) { return team->process != cbackprop_pool.process; }

static cbackprop_worker *cbackprop_worker_of(cbackprop_team *team, ptrdiff_t share) {
    cbackprop_worker *worker = team->workers;
    while (--share)
        worker = worker->next;
    return worker;
}

/* Hands out all shares of a job but the caller's. */
static void cbackprop_give(cbackprop_team *team, ptrdiff_t n_shares, cbackprop_job job, void *context) {
    cbackprop_worker *worker = team->workers;
    uint64_t float_mode = cbackprop_float_mode();
    for (ptrdiff_t share = 1; share < n_shares; share++) {
        worker->job = job;
        worker->context = context;
        worker->share = share;
        worker->n_shares = n_shares;
        worker->float_mode = float_mode;
        cbackprop_change(&worker->given, worker->given.value + 1);
        worker = worker->next;
    }
}

/* Whether a share has not begun, and is now the caller's to do. */
static int cbackprop_claim(cbackprop_team *team, ptrdiff_t share) {
    cbackprop_worker *worker = cbackprop_worker_of(team, share);
    long job = worker->given.value;
    if (!cbackprop_begin(worker, job))
        return 0;
    __atomic_store_n(&worker->done.value, job, __ATOMIC_RELAXED); /* the caller will not wait for it */
    return 1;
}

/* Waits for a share that a worker has begun, or for some milliseconds; whether it is done. */
static int cbackprop_wait(cbackprop_team *team, ptrdiff_t share) {
    cbackprop_worker *worker = cbackprop_worker_of(team, share);
    long job = worker->given.value, done = __atomic_load_n(&worker->done.value, __ATOMIC_ACQUIRE);
    return done == job || cbackprop_await(&worker->done, done, CBACKPROP_LOOK_MS) == job;
}

/* Whoever computes says so, with a team or without, for others to leave a core to it. */
static void cbackprop_enter(void) {
    cbackprop_inside++;
    __atomic_add_fetch(&cbackprop_pool.callers, 1, __ATOMIC_RELAXED);
}
static void cbackprop_leave(void) {
    cbackprop_inside--;
    __atomic_sub_fetch(&cbackprop_pool.callers, 1, __ATOMIC_RELAXED);
}
static long cbackprop_callers(void) { return __atomic_load_n(&cbackprop_pool.callers, __ATOMIC_RELAXED); }

#endif
#endif
