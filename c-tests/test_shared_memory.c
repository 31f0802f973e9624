/* Memory with a name: who may make, see, close and unlink it, and what becomes of it when somebody dies. */
#include "support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/time.h>

static char name[64], path[128];

/* A name of this test, and where the kernel has it. */
static void call_it(const char *what) {
    snprintf(name, sizeof name, "carom_test_%d_%s", (int)getpid(), what);
    snprintf(path, sizeof path, "/dev/shm/%s", name);
}

static int exists(void) { return access(path, F_OK) == 0; }

/* Names in /dev/shm that begin so. */
static int names_of(const char *begin) {
    int count = 0;
    DIR *directory = opendir("/dev/shm");
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
    if (directory) closedir(directory);
    return count;
}

static carom_shared_memory *make(size_t size) {
    carom_shared_memory *memory = NULL;
    CHECK_OK(carom_shared_memory_new(name, size, NULL, &memory));
    CHECK_EQ(carom_shared_memory_size(memory), size);
    return memory;
}

static carom_shared_memory *attach(void) {
    carom_shared_memory *memory = NULL;
    CHECK_OK(carom_shared_memory_open(name, NULL, &memory));
    return memory;
}

static void refuses_new(const char *what, size_t size, carom_status status) {
    carom_shared_memory *none = (carom_shared_memory *)&none;
    CHECK_STATUS(carom_shared_memory_new(what, size, NULL, &none), status);
    CHECK(none == NULL);
    CHECK(*carom_error_message() != 0);
}

static void refuses_open(const char *what, carom_status status) {
    carom_shared_memory *none = (carom_shared_memory *)&none;
    CHECK_STATUS(carom_shared_memory_open(what, NULL, &none), status);
    CHECK(none == NULL);
}

/* ------------------------------------------------------------------------------------------------ making and finding */

static void is_made_found_and_unlinked(void) {
    call_it("life");
    refuses_open(name, CAROM_ENOENT);
    CHECK_STATUS(carom_shared_memory_unlink_name(name), CAROM_ENOENT);
    carom_shared_memory *memory = make(10001);
    struct stat found;
    CHECK_EQ(stat(path, &found), 0);
    CHECK_EQ(found.st_size, 10001);
    CHECK_EQ(found.st_mode & 07777, 0600);
    CHECK_EQ(found.st_blocks * 512 >= 10001, 1);
    char *data = carom_shared_memory_data(memory);
    CHECK_EQ((uintptr_t)data % 4096, 0);
    for (int i = 0; i < 10001; i++) CHECK_EQ(data[i], 0);
    strcpy(data + 9000, "here");
    CHECK_STR_EQ(carom_shared_memory_name(memory), name);

    /* Never overwritten. */
    refuses_new(name, 10001, CAROM_EEXIST);
    refuses_new(name, 1, CAROM_EEXIST);
    CHECK_STR_EQ(data + 9000, "here");

    carom_shared_memory *second = attach();
    CHECK_EQ(carom_shared_memory_size(second), 10001);
    CHECK(carom_shared_memory_data(second) != data);
    CHECK_STR_EQ((char *)carom_shared_memory_data(second) + 9000, "here");

    CHECK_OK(carom_shared_memory_unlink(second));
    CHECK(!exists());
    CHECK_STATUS(carom_shared_memory_unlink(second), CAROM_ENOENT);
    CHECK_STATUS(carom_shared_memory_unlink(memory), CAROM_ENOENT);
    refuses_open(name, CAROM_ENOENT);
    /* Who has it keeps it. */
    strcpy(data + 9000, "still");
    CHECK_STR_EQ((char *)carom_shared_memory_data(second) + 9000, "still");
    carom_shared_memory_free(second);
    carom_shared_memory_free(memory);
    CHECK_EQ(carom_shared_memory_size(memory), CAROM_EBADHANDLE);
}

static void slashes_before_a_name(void) {
    char with[70], more[70];
    call_it("slash");
    snprintf(with, sizeof with, "/%s", name);
    snprintf(more, sizeof more, "//%s", name);
    carom_shared_memory *memory = NULL, *other = NULL;
    CHECK_OK(carom_shared_memory_new(with, 1, NULL, &memory));
    CHECK_STR_EQ(carom_shared_memory_name(memory), name);
    CHECK(exists());
    refuses_new(name, 1, CAROM_EEXIST);
    CHECK_OK(carom_shared_memory_open(name, NULL, &other));
    carom_shared_memory_free(other);
    CHECK_OK(carom_shared_memory_open(more, NULL, &other));
    carom_shared_memory_free(other);
    CHECK_OK(carom_shared_memory_unlink_name(with));
    carom_shared_memory_free(memory);
}

static void names_that_are_none(void) {
    static char longest[256], too_long[257], huge[10001];
    memset(longest, 'n', 255);
    memset(too_long, 'n', 256);
    memset(huge, 'n', 10000);
    const char *const strange[] = {"", "/", "//", ".", "..", "/.", "/..", "a/b", "/a/b", "a/", "../x", "\xff\xfe"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        refuses_new(strange[i], 1, CAROM_EINVAL);
        refuses_open(strange[i], CAROM_EINVAL);
        CHECK_STATUS(carom_shared_memory_unlink_name(strange[i]), CAROM_EINVAL);
    }
    refuses_open(NULL, CAROM_EINVAL);
    CHECK_STATUS(carom_shared_memory_unlink_name(NULL), CAROM_EINVAL);
    refuses_new(too_long, 1, -ENAMETOOLONG);
    refuses_new(huge, 1, -ENAMETOOLONG);
    refuses_open(huge, -ENAMETOOLONG);
    CHECK_STATUS(carom_shared_memory_unlink_name(huge), -ENAMETOOLONG);
    carom_shared_memory *memory = NULL;
    CHECK_OK(carom_shared_memory_new(longest, 1, NULL, &memory));
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
    CHECK_OK(carom_shared_memory_new("carom test \xc3\xbc", 1, NULL, &memory));
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
}

/* Also of processes that are copies of one another. */
static void names_made_up(void) {
    enum { MANY = 200 };
    static carom_shared_memory *all[MANY];
    flag *went_well = share(sizeof *went_well);
    for (int process = 0; process < 2; process++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid > 0) continue;
        for (int i = 0; i < MANY; i++) {
            CHECK_OK(carom_shared_memory_new(NULL, 8, NULL, &all[i]));
            CHECK(strncmp(carom_shared_memory_name(all[i]), "carom_", 6) == 0);
            CHECK_EQ(strlen(carom_shared_memory_name(all[i])), 14);
            *(int64_t *)carom_shared_memory_data(all[i]) = getpid();
        }
        flag_add(went_well, 1);
        flag_await(went_well, 2);
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(*(int64_t *)carom_shared_memory_data(all[i]), getpid());
            CHECK_OK(carom_shared_memory_unlink(all[i]));
            carom_shared_memory_free(all[i]);
        }
        _exit(0);
    }
    int status;
    while (wait(&status) > 0) CHECK_EQ(status, 0);
}

static void sizes(void) {
    call_it("size");
    const size_t good[] = {1, 2, 4095, 4096, 4097, 1000000};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        carom_shared_memory *memory = make(good[i]);
        ((char *)carom_shared_memory_data(memory))[good[i] - 1] = 1;
        CHECK_OK(carom_shared_memory_unlink(memory));
        carom_shared_memory_free(memory);
    }
    refuses_new(name, 0, CAROM_EINVAL);
    const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 1, SIZE_MAX / 2, (size_t)1 << 62, (size_t)1 << 46, (size_t)1 << 43};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) refuses_new(name, absurd[i], CAROM_ENOMEM);
    CHECK(!exists());
}

/* What others made has the size that it has. */
static void size_is_that_of_the_object(void) {
    call_it("foreign");
    const off_t all[] = {1, 100, 4096, 123456};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        CHECK(fd >= 0);
        refuses_open(name, CAROM_EAGAIN); /* somebody is about to make it */
        CHECK_EQ(ftruncate(fd, all[i]), 0);
        carom_shared_memory *memory = attach();
        CHECK_EQ(carom_shared_memory_size(memory), all[i]);
        ((char *)carom_shared_memory_data(memory))[all[i] - 1] = 'x';
        char last = 0;
        CHECK_EQ(pread(fd, &last, 1, all[i] - 1), 1);
        CHECK_EQ(last, 'x');
        close(fd);
        CHECK_OK(carom_shared_memory_unlink(memory));
        carom_shared_memory_free(memory);
    }
    CHECK_EQ(symlink("/etc/passwd", path), 0); /* is not followed */
    refuses_open(name, -ELOOP);
    refuses_new(name, 1, CAROM_EEXIST);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(mkdir(path, 0700), 0);
    carom_shared_memory *none = (carom_shared_memory *)&none;
    CHECK(carom_shared_memory_open(name, NULL, &none) < 0);
    CHECK(none == NULL);
    CHECK_EQ(rmdir(path), 0);
}

static void only_its_own_name_is_unlinked(void) {
    call_it("other");
    carom_shared_memory *mine = make(8), *other = NULL;
    CHECK_OK(carom_shared_memory_unlink_name(name));
    CHECK_OK(carom_shared_memory_new(name, 16, NULL, &other));
    CHECK_STATUS(carom_shared_memory_unlink(mine), CAROM_ENOENT);
    CHECK(exists());
    CHECK_OK(carom_shared_memory_unlink(other));
    carom_shared_memory_free(mine);
    carom_shared_memory_free(other);
}

static void options(void) {
    call_it("options");
    umask(022);
    carom_shared_memory_options options = {.size = sizeof options, .mode = 0666};
    carom_shared_memory *memory = NULL, *reader = NULL, *none = NULL;
    CHECK_OK(carom_shared_memory_new(name, 8, &options, &memory));
    struct stat found;
    CHECK_EQ(stat(path, &found), 0);
    CHECK_EQ(found.st_mode & 07777, 0644);
    CHECK_STATUS(carom_shared_memory_open(name, &options, &none), CAROM_EINVAL);
    options = (carom_shared_memory_options){.size = sizeof options, .mode = 01000};
    CHECK_STATUS(carom_shared_memory_new("x", 8, &options, &none), CAROM_EINVAL);
    options = (carom_shared_memory_options){.size = sizeof options, .read_only = 1};
    CHECK_STATUS(carom_shared_memory_new("x", 8, &options, &none), CAROM_EINVAL);
    CHECK_OK(carom_shared_memory_open(name, &options, &reader));
    *(int *)carom_shared_memory_data(memory) = 7;
    CHECK_EQ(*(int *)carom_shared_memory_data(reader), 7);
    pid_t pid = fork();
    if (pid == 0) {
        *(volatile int *)carom_shared_memory_data(reader) = 8;
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), -SIGSEGV);
    CHECK_OK(carom_shared_memory_unlink(reader));
    carom_shared_memory_free(reader);
    carom_shared_memory_free(memory);
}

/* --------------------------------------------------------------------------------------------------------- closing */

static int is_mapped(const char *what) {
    char line[512];
    int mapped = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) mapped |= strstr(line, what) != NULL;
    fclose(file);
    return mapped;
}

static void closed_is_closed(void) {
    call_it("close");
    carom_shared_memory *memory = make(8), *second = attach();
    carom_shared_memory_free(second);
    CHECK(is_mapped("/dev/shm/"));
    CHECK_OK(carom_shared_memory_close(memory));
    CHECK(!is_mapped("/dev/shm/"));
    CHECK_OK(carom_shared_memory_close(memory));
    CHECK(carom_shared_memory_data(memory) == NULL);
    carom_error error = {.size = sizeof error};
    CHECK_OK(carom_last_error(&error));
    CHECK_EQ(error.status, CAROM_ECLOSED);
    CHECK_EQ(carom_shared_memory_size(memory), CAROM_ECLOSED);
    CHECK_STR_EQ(carom_shared_memory_name(memory), name);
    CHECK(exists());
    CHECK_OK(carom_shared_memory_unlink(memory));
    CHECK(!exists());
    carom_shared_memory_free(memory);
    CHECK_STATUS(carom_shared_memory_close(memory), CAROM_EBADHANDLE);
    memory = make(8);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
    CHECK(!is_mapped("/dev/shm/")); /* to free is to close */
}

/* Nothing but the name is left anywhere, and no family has begun. */
static void costs_nothing(void) {
    call_it("cost");
    int fds = fd_count();
    carom_shared_memory *memory = make(8), *second = attach();
    CHECK_EQ(fd_count(), fds);
    CHECK(!is_mapped("memfd:carom"));
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(second);
    carom_shared_memory_free(memory);
    CHECK_EQ(fd_count(), fds);
    CHECK(!is_mapped("memfd:carom"));
}

/* ------------------------------------------------------------------------------------------------ other processes */

static carom_shared_memory *inherited;

static int32_t uses_both(carom_call *call) {
    carom_argument argument;
    CHECK_OK(carom_call_argument(call, 0, &argument));
    memcpy(name, argument.data, argument.len);
    name[argument.len] = 0;
    carom_shared_memory *found = attach();
    ++*(int *)carom_shared_memory_data(found);
    carom_shared_memory_free(found);
    ++*(int *)carom_shared_memory_data(inherited);
    CHECK_OK(carom_shared_memory_close(inherited));
    carom_shared_memory_free(inherited);
    CHECK_EQ(carom_shared_memory_size(inherited), CAROM_EBADHANDLE);
    return 17;
}

static void processes_of_the_family(void) {
    NOT_ALONE;
    call_it("family");
    inherited = make(4);
    carom_argument argument = CAROM_STRING(name, strlen(name));
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(outcome_of(uses_both, &argument, 1), 17);
        CHECK_EQ(*(int *)carom_shared_memory_data(inherited), 2 * i);
    }
    /* It is passed by its name, not as a handle. */
    carom_argument handle = CAROM_HANDLE(inherited);
    carom_process *none = NULL;
    CHECK_STATUS(carom_process_start(uses_both, &handle, 1, NULL, &none), CAROM_EBADHANDLE);
    CHECK_OK(carom_shared_memory_unlink(inherited));
    carom_shared_memory_free(inherited);
}

static void strangers(int of_a_family) {
    call_it("stranger");
    carom_lock *lock = NULL;
    if (of_a_family) CHECK_OK(carom_lock_new(NULL, &lock));
    carom_shared_memory *memory = make(4);
    carom_argument item = CAROM_INTEGER(5);
    carom_shareable_list *list = NULL;
    CHECK_OK(carom_shareable_list_new(&item, 1, NULL, &list));
    pid_t pid = fork();
    if (pid == 0) {
        if (of_a_family) CHECK_STATUS(carom_lock_acquire(lock, 0), CAROM_EFORKED);
        *(int *)carom_shared_memory_data(memory) += 1;
        carom_shared_memory *second = attach(), *third = NULL;
        *(int *)carom_shared_memory_data(second) += 1;
        CHECK_OK(carom_shared_memory_new(NULL, 8, NULL, &third));
        CHECK_OK(carom_shared_memory_unlink(third));
        carom_argument shown;
        CHECK_OK(carom_shareable_list_get(list, 0, &shown, NULL, 0, NULL));
        CHECK_EQ(shown.integer, 5);
        shown.integer = 6;
        CHECK_OK(carom_shareable_list_set(list, 0, &shown));
        carom_shared_memory_free(memory);
        carom_shareable_list_free(list);
        CHECK_EQ(carom_shared_memory_size(memory), CAROM_EBADHANDLE); /* and not EFORKED: a stranger may use these */
        CHECK_STATUS(carom_shareable_list_close(list), CAROM_EBADHANDLE);
        carom_shared_memory_free(second);
        carom_shared_memory_free(third);
        CHECK(!is_mapped("/dev/shm/"));
        _exit(0);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK_EQ(*(int *)carom_shared_memory_data(memory), 2);
    item.integer = 6;
    CHECK_EQ(carom_shareable_list_index_of(list, &item), 0);
    CHECK_OK(carom_shareable_list_unlink(list));
    carom_shareable_list_free(list);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
    carom_lock_free(lock);
}
static void strangers_to_a_family(void) {
    NOT_ALONE;
    strangers(1);
}
static void strangers_to_none(void) { strangers(0); }

static void outlives_its_maker(void) {
    call_it("maker");
    pid_t pid = fork();
    if (pid == 0) {
        strcpy(carom_shared_memory_data(make(100)), "a will");
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(wait_for(pid), -SIGKILL);
    carom_shared_memory *memory = attach();
    CHECK_STR_EQ((char *)carom_shared_memory_data(memory), "a will");
    carom_shared_memory_free(memory);
    CHECK_OK(carom_shared_memory_unlink_name(name));
    CHECK(!exists());
}

/* Whoever finds the name finds all of it, whenever its maker dies. */
static void is_whole_or_not_there(void) {
    enum { ITEMS = 2000, ROUNDS = 80 };
    static carom_argument items[ITEMS];
    call_it("whole");
    for (int i = 0; i < ITEMS; i++) items[i] = CAROM_INTEGER(i);
    int found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;) {
                carom_shareable_list *list = NULL;
                CHECK_OK(carom_shareable_list_new(items, ITEMS, name, &list));
                CHECK_OK(carom_shareable_list_unlink(list));
                carom_shareable_list_free(list);
            }
        }
        /* The last round has all the time that a slow machine (or valgrind) needs. */
        for (int64_t until = now_ms() + 1 + round % 10; now_ms() < until || (round == ROUNDS - 1 && !found);) {
            carom_shareable_list *list = NULL;
            carom_status status = carom_shareable_list_open(name, &list);
            if (status == CAROM_ENOENT) continue;
            check_status_(__FILE__, __LINE__, "open", status, CAROM_OK);
            CHECK_EQ(carom_shareable_list_count(list), ITEMS);
            CHECK_EQ(carom_shareable_list_index_of(list, &items[ITEMS - 1]), ITEMS - 1);
            carom_shareable_list_free(list);
            found++;
        }
        kill(pid, SIGKILL);
        CHECK_EQ(wait_for(pid), -SIGKILL);
        CHECK(names_of(name) <= 1);
        if (exists()) CHECK_OK(carom_shared_memory_unlink_name(name));
    }
    CHECK(found > 0);
}

static void one_of_many_makes_it(void) {
    call_it("many");
    flag *go = share(sizeof *go), *made = share(sizeof *made), *late = share(sizeof *late);
    for (int round = 0; round < 50; round++) {
        atomic_store(go, 0);
        atomic_store(made, 0);
        atomic_store(late, 0);
        for (int i = 0; i < 4; i++) {
            if (fork() > 0) continue;
            flag_await(go, 1);
            carom_shared_memory *memory = NULL;
            carom_status status = carom_shared_memory_new(name, 8, NULL, &memory);
            if (status == CAROM_OK) flag_add(made, 1);
            else if (status == CAROM_EEXIST) flag_add(late, 1);
            _exit(0);
        }
        flag_add(go, 1);
        while (wait(NULL) > 0) {}
        CHECK_EQ(atomic_load(made), 1);
        CHECK_EQ(atomic_load(late), 3);
        CHECK_OK(carom_shared_memory_unlink_name(name));
    }
}

/* ---------------------------------------------------------------------------------------------------------- limits */

static void limited(int resource, rlim_t soft) {
    struct rlimit limit;
    CHECK_EQ(getrlimit((__rlimit_resource_t)resource, &limit), 0);
    limit.rlim_cur = soft;
    CHECK_EQ(setrlimit((__rlimit_resource_t)resource, &limit), 0);
}

static void small_files(void) {
    call_it("fsize");
    carom_shared_memory *before = make(1 << 20);
    char other[80];
    snprintf(other, sizeof other, "%s_2", name);
    limited(RLIMIT_FSIZE, 0);
    refuses_new(other, 1, CAROM_ENOMEM);
    limited(RLIMIT_FSIZE, 100000);
    refuses_new(other, 100001, CAROM_ENOMEM);
    static char large[200000];
    carom_argument item = CAROM_BYTES(large, sizeof large);
    carom_shareable_list *none = NULL;
    CHECK_STATUS(carom_shareable_list_new(&item, 1, other, &none), CAROM_ENOMEM);
    carom_shared_memory *memory = NULL;
    CHECK_OK(carom_shared_memory_new(other, 100000, NULL, &memory));
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
    memset(carom_shared_memory_data(before), 1, 1 << 20); /* what is there is there */
    memory = attach();
    CHECK_EQ(carom_shared_memory_size(memory), 1 << 20);
    carom_shared_memory_free(memory);
    limited(RLIMIT_FSIZE, RLIM_INFINITY);
    CHECK_OK(carom_shared_memory_unlink(before));
    carom_shared_memory_free(before);
    CHECK_EQ(names_of(name), 0);
}

static void small_address_space(void) {
    NOT_UNDER_ASAN;
    NOT_ALONE; /* nor with valgrind */
    call_it("as");
    limited(RLIMIT_AS, 200ul << 20);
    refuses_new(name, 300ul << 20, CAROM_ENOMEM);
    CHECK(!exists());
    limited(RLIMIT_AS, RLIM_INFINITY);
    carom_shared_memory *memory = make(300ul << 20);
    limited(RLIMIT_AS, 400ul << 20);
    refuses_open(name, CAROM_ENOMEM);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
}

static void no_descriptors(void) {
    NOT_ALONE; /* valgrind opens, and so makes, the file first, and says EMFILE then */
    call_it("fd");
    carom_shared_memory *memory = make(8);
    limited(RLIMIT_NOFILE, 16);
    int fillers[16], count = 0;
    while ((fillers[count] = dup(2)) >= 0) count++;
    refuses_open(name, -EMFILE);
    refuses_new("carom_test_none", 8, -EMFILE);
    CHECK_OK(carom_shared_memory_unlink(memory));
    while (count > 0) close(fillers[--count]);
    carom_shared_memory_free(memory);
}

/* A signal that comes more often than the kernel can reserve it all at once. */
static void on_timer(int signal) { (void)signal; }
static void among_signals(void) {
    call_it("signals");
    struct sigaction action = {.sa_handler = on_timer};
    __typeof__(ITIMER_REAL) which = ITIMER_REAL;
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(which, &often, NULL), 0);
    carom_shared_memory *memory = make(256ul << 20);
    CHECK_EQ(setitimer(which, &never, NULL), 0);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
}

static void write_file(const char *file, const char *text) {
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* A /dev/shm of one megabyte, which only this process sees. */
static int own_dev_shm(void) {
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWNS) != 0) {
        char map[32];
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 0;
        snprintf(map, sizeof map, "0 %d 1", (int)uid);
        write_file("/proc/self/uid_map", map);
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %d 1", (int)gid);
        write_file("/proc/self/gid_map", map);
    }
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 && mount("carom", "/dev/shm", "tmpfs", 0, "size=1m") == 0;
}

static void dev_shm_is_full(void) {
    if (!own_dev_shm()) {
        fprintf(stderr, "  not permitted to mount: skipped\n");
        return;
    }
    call_it("full");
    refuses_new(name, 2 << 20, CAROM_ENOMEM);
    CHECK(!exists());
    carom_shared_memory *memory = make(900 << 10), *second = NULL;
    memset(carom_shared_memory_data(memory), 1, 900 << 10); /* no SIGBUS */
    CHECK_STATUS(carom_shared_memory_new(NULL, 900 << 10, NULL, &second), CAROM_ENOMEM);
    CHECK_EQ(names_of("carom_"), 1);
    CHECK_OK(carom_shared_memory_unlink(memory));
    carom_shared_memory_free(memory);
    CHECK_OK(carom_shared_memory_new(NULL, 900 << 10, NULL, &second)); /* what was refused is given back */
    CHECK_OK(carom_shared_memory_unlink(second));
    carom_shared_memory_free(second);
}

/* From now on this process cannot link: as in a sandbox, or without /proc. */
static void forbid_linkat(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_linkat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    CHECK_EQ(linkat(AT_FDCWD, "/", AT_FDCWD, "/", 0), -1);
    CHECK_EQ(errno, EPERM);
}

static void without_links(void) {
    forbid_linkat();
    is_made_found_and_unlinked();
    slashes_before_a_name();
    names_that_are_none();
    sizes();
    options();
    one_of_many_makes_it();
    small_files();
    if (own_dev_shm()) dev_shm_is_full();
}

/* --------------------------------------------------------------------------------------------------------- threads */

static carom_shareable_list *victim;
static flag ends;

static void *uses(void *unused) {
    (void)unused;
    carom_argument shown;
    char data[64];
    while (!atomic_load(&ends)) {
        carom_shareable_list *list = __atomic_load_n(&victim, __ATOMIC_ACQUIRE);
        carom_argument text = CAROM_STRING("other", 5);
        carom_status status = carom_shareable_list_get(list, 1, &shown, data, sizeof data, NULL);
        CHECK(status == CAROM_OK || status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
        status = carom_shareable_list_set(list, 1, &text);
        CHECK(status == CAROM_OK || status == CAROM_ECLOSED || status == CAROM_EBADHANDLE);
    }
    return NULL;
}

/* Nobody falls into what another thread closes or frees. */
static void threads_that_close(void) {
    pthread_t threads[3];
    carom_argument items[] = {CAROM_INTEGER(1), CAROM_STRING("a text", 6)};
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, uses, NULL), 0);
    int rounds = getenv("CAROM_TEST_ALONE") ? 30 : 1000; /* under valgrind each call waits for its turn */
    for (int i = 0; i < rounds; i++) {
        carom_shareable_list *list = NULL;
        CHECK_OK(carom_shareable_list_new(items, 2, NULL, &list));
        __atomic_store_n(&victim, list, __ATOMIC_RELEASE);
        CHECK_OK(carom_shareable_list_unlink(list));
        if (i % 2) CHECK_OK(carom_shareable_list_close(list));
        if (i % 50 == 0) sched_yield();
        carom_shareable_list_free(list);
    }
    flag_add(&ends, 1);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

int main(void) {
    CASE(is_made_found_and_unlinked);
    CASE(slashes_before_a_name);
    CASE(names_that_are_none);
    CASE(names_made_up);
    CASE(sizes);
    CASE(size_is_that_of_the_object);
    CASE(only_its_own_name_is_unlinked);
    CASE(options);
    CASE(closed_is_closed);
    CASE(costs_nothing);
    CASE(processes_of_the_family);
    CASE(strangers_to_a_family);
    CASE(strangers_to_none);
    CASE(outlives_its_maker);
    CASE(is_whole_or_not_there);
    CASE(one_of_many_makes_it);
    CASE(small_files);
    CASE(small_address_space);
    CASE(no_descriptors);
    CASE(among_signals);
    CASE(dev_shm_is_full);
    CASE(without_links);
    CASE(threads_that_close);
    return 0;
}
