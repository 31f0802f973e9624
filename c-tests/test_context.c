/* Start methods and contexts: names, the default, what a context does. */
#include "support.h"

static int32_t nothing(carom_call *call) {
    (void)call;
    return 3;
}

static void names(void) {
    const char *all[8] = {NULL};
    int64_t count = carom_start_method_list(all, 8);
    CHECK(count >= 2 && count <= 8);
    CHECK_STR_EQ(all[0], "fork");
    for (int64_t i = 0; i < count; i++) {
        carom_context *context = NULL;
        CHECK_OK(carom_context_new(all[i], &context));
        CHECK_STR_EQ(carom_context_name(context), all[i]);
        carom_process_options options = {.size = sizeof options, .context = context};
        carom_process *process = NULL;
        CHECK_OK(carom_process_start(nothing, NULL, 0, &options, &process));
        carom_context_free(context); /* the process goes on */
        CHECK_EQ(ended(process), 3);
        CHECK_STR_EQ(carom_context_name(context), "");
    }
    CHECK_EQ(carom_start_method_list(all + 7, 1), count);
    CHECK_STR_EQ(all[7], "fork");
}

static void the_default(void) {
    const char *name = NULL;
    CHECK_STATUS(carom_start_method_get(1, &name), CAROM_ENOENT);
    CHECK_OK(carom_start_method_set("spawn", 0));
    CHECK_OK(carom_start_method_get(1, &name));
    CHECK_STR_EQ(name, "spawn");
    CHECK_STATUS(carom_start_method_set("fork", 0), CAROM_EALREADY);
    CHECK_STATUS(carom_start_method_set("spawn", 0), CAROM_EALREADY);
    CHECK_STATUS(carom_start_method_set("other", 1), CAROM_EINVAL);
    CHECK_OK(carom_start_method_get(0, &name));
    CHECK_STR_EQ(name, "spawn");
    CHECK_OK(carom_start_method_set("fork", 1));
    carom_context *context = NULL;
    CHECK_OK(carom_context_new(NULL, &context));
    CHECK_STR_EQ(carom_context_name(context), "fork");
    carom_context_free(context);
    CHECK_OK(carom_start_method_set(NULL, 1));
    CHECK_STATUS(carom_start_method_get(1, &name), CAROM_ENOENT);
}

static void asking_fixes_it(void) {
    const char *name = NULL;
    CHECK_OK(carom_start_method_get(0, &name));
    CHECK_STR_EQ(name, "fork");
    CHECK_STATUS(carom_start_method_set("spawn", 0), CAROM_EALREADY);
}

static void starting_fixes_it(void) {
    CHECK_EQ(outcome_of(nothing, NULL, 0), 3);
    CHECK_STATUS(carom_start_method_set("spawn", 0), CAROM_EALREADY);
}

/* A child has its parent's default, whatever brought it about. */
static int32_t tells_its_default(carom_call *call) {
    (void)call;
    const char *name = "";
    CHECK_OK(carom_start_method_get(1, &name));
    return name[0];
}

static void children_inherit_it(void) {
    CHECK_OK(carom_start_method_set("spawn", 0));
    CHECK_EQ(outcome_of(tells_its_default, NULL, 0), 's');
    CHECK_OK(carom_start_method_set("fork", 1));
    CHECK_EQ(outcome_of(tells_its_default, NULL, 0), 'f');
}

/* Two contexts of one method are as good as one: what is made works with both. */
static int32_t adds(carom_call *call) {
    carom_value *value = NULL;
    CHECK_OK(carom_call_value(call, 0, &value));
    int64_t before;
    CHECK_OK(carom_value_add(value, 1, &before));
    return 0;
}

static void objects_work_in_all(void) {
    const char *all[8] = {NULL};
    int64_t count = carom_start_method_list(all, 8), zero = 0;
    carom_value *value = NULL;
    CHECK_OK(carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &value));
    for (int64_t i = 0; i < 2 * count; i++) {
        carom_context *context = NULL;
        CHECK_OK(carom_context_new(all[i % count], &context));
        carom_process_options options = {.size = sizeof options, .context = context};
        carom_argument argument = CAROM_HANDLE(value);
        carom_process *process = NULL;
        CHECK_OK(carom_process_start(adds, &argument, 1, &options, &process));
        CHECK_EQ(ended(process), 0);
        carom_context_free(context);
    }
    int64_t sum = 0;
    CHECK_OK(carom_value_get(value, &sum, sizeof sum, CAROM_FOREVER));
    CHECK_EQ(sum, 2 * count);
    carom_value_free(value);
}

static void heard(uint32_t level, const char *message, void *hints) {
    (void)level;
    if (strstr(message, "start method forkserver")) ++*(int *)hints;
}
static void *waits(void *event) {
    carom_event_wait(event, CAROM_FOREVER);
    return NULL;
}
/* Who debugs a program that forks among threads is told what has no such trouble; others are not. */
static void a_hint_for_threads(void) {
    int hints = 0;
    pthread_t thread;
    carom_event *event = NULL;
    carom_context *forkserver = NULL;
    CHECK_OK(carom_log_set(heard, &hints, CAROM_LOG_DEBUG));
    CHECK_OK(carom_event_new(&event));
    CHECK_OK(carom_context_new("forkserver", &forkserver));
    CHECK_EQ(outcome_of(nothing, NULL, 0), 3);
    CHECK_EQ(hints, 0);
    CHECK_EQ(pthread_create(&thread, NULL, waits, event), 0);
    CHECK_EQ(outcome_of(nothing, NULL, 0), 3);
    CHECK_EQ(hints, 1);
    carom_process_options options = {.size = sizeof options, .context = forkserver};
    carom_process *process = NULL;
    CHECK_OK(carom_process_start(nothing, NULL, 0, &options, &process));
    CHECK_EQ(ended(process), 3);
    CHECK_EQ(hints, 1);
    CHECK_OK(carom_event_set(event));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    carom_context_free(forkserver);
    carom_event_free(event);
}

int main(int argc, char **argv) {
    CHECK_OK(carom_init(argc, argv));
    more_fds = 1;
    CASE(names);
    CASE(the_default);
    CASE(asking_fixes_it);
    CASE(starting_fixes_it);
    CASE(children_inherit_it);
    CASE(objects_work_in_all);
    CASE(a_hint_for_threads);
    return 0;
}
