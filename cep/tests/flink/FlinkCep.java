import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.state.KeyedStateStore;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.typeutils.base.IntSerializer;
import org.apache.flink.cep.nfa.NFA;
import org.apache.flink.cep.nfa.NFAState;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.nfa.compiler.NFACompiler;
import org.apache.flink.cep.nfa.sharedbuffer.SharedBuffer;
import org.apache.flink.cep.pattern.MalformedPatternException;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.WithinType;
import org.apache.flink.cep.pattern.conditions.IterativeCondition;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * Runs patterns through FlinkCEP's automaton. Reads a case per line, writes what came of it on a line; both are JSON.
 *
 * <p>A case is a pattern, as Tidegate writes its own down, and entries: {@code {"time", "kind", "key"}} is an event, one without a kind moves time
 * alone. The answer has for each entry the matches (step to places of events among the entries) and the timeouts with their times; it ends at an
 * entry that fails. An event is one number to Flink: its place times 8, plus its kind.
 */
public final class FlinkCep {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode asked) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        AfterMatchSkipStrategy skip = skip(asked.get("pattern").get("after_match"));
        NFACompiler.NFAFactory<Integer> factory;
        try {
            factory = NFACompiler.compileFactory(pattern(asked.get("pattern"), skip), true);
        } catch (RuntimeException refused) {
            return answer.put("refused", refused.getMessage());
        }
        ArrayNode entries = answer.putArray("entries");
        Map<Integer, Key> keys = new HashMap<>();
        try {
            int place = 0;
            for (JsonNode entry : asked.get("entries")) {
                int number = entry.get("key").asInt();
                if (!keys.containsKey(number)) {
                    keys.put(number, new Key(factory.createNFA(), skip));
                }
                entries.add(keys.get(number).entry(entry, place++));
            }
        } catch (Exception failed) {
            answer.put("failed", String.valueOf(failed.getMessage()));
        } finally {
            keys.values().forEach(key -> key.buffer.releaseCacheStatisticsTimer());
        }
        return answer;
    }

    /** The automaton of a key and its state. */
    private static final class Key {
        private final NFA<Integer> nfa;
        private final NFAState state;
        private final SharedBuffer<Integer> buffer = new SharedBuffer<>(store(), IntSerializer.INSTANCE);
        private final AfterMatchSkipStrategy skip;

        Key(NFA<Integer> nfa, AfterMatchSkipStrategy skip) {
            this.nfa = nfa;
            this.state = nfa.createInitialNFAState();
            this.skip = skip;
        }

        /** Does what Flink's operator does with an event, or at a watermark. */
        ObjectNode entry(JsonNode entry, int place) throws Exception {
            ObjectNode answer = JSON.createObjectNode();
            ArrayNode matches = answer.putArray("matches");
            ArrayNode timeouts = answer.putArray("timeouts");
            long time = entry.get("time").asLong();
            try (var accessor = buffer.getAccessor()) {
                var advanced = nfa.advanceTime(accessor, state, time, skip);
                advanced.f0.forEach(match -> matches.add(places(match)));
                advanced.f1.forEach(timeout -> timeouts.addArray().add(places(timeout.f0)).add(timeout.f1));
            }
            if (entry.hasNonNull("kind")) {
                try (var accessor = buffer.getAccessor()) {
                    int event = place * 8 + entry.get("kind").asInt();
                    Collection<Map<String, List<Integer>>> found = nfa.process(accessor, state, event, time, skip, () -> time);
                    found.forEach(match -> matches.add(places(match)));
                }
            }
            return answer;
        }

        private static ObjectNode places(Map<String, List<Integer>> match) {
            ObjectNode node = JSON.createObjectNode();
            match.forEach((step, events) -> {
                ArrayNode places = node.putArray(step);
                events.forEach(event -> places.add(event / 8));
            });
            return node;
        }
    }

    private static AfterMatchSkipStrategy skip(JsonNode node) {
        switch (node.isTextual() ? node.asText() : node.fieldNames().next()) {
            case "no_skip": return AfterMatchSkipStrategy.noSkip();
            case "skip_to_next": return AfterMatchSkipStrategy.skipToNext();
            case "skip_past_last_event": return AfterMatchSkipStrategy.skipPastLastEvent();
            default:
        }
        JsonNode to = node.elements().next();
        String step = to.get("step").asText();
        boolean fails = to.get("or_fail").asBoolean();
        if (node.has("skip_to_first")) {
            var first = AfterMatchSkipStrategy.skipToFirst(step);
            return fails ? first.throwExceptionOnMiss() : first;
        }
        var last = AfterMatchSkipStrategy.skipToLast(step);
        return fails ? last.throwExceptionOnMiss() : last;
    }

    private static Pattern<Integer, Integer> pattern(JsonNode node, AfterMatchSkipStrategy skip) {
        Pattern<Integer, Integer> pattern = sequence(node.get("steps"), skip);
        return node.get("within").isNull() ? pattern : pattern.within(duration(node.get("within")));
    }

    private static Pattern<Integer, Integer> sequence(JsonNode steps, AfterMatchSkipStrategy skip) {
        Pattern<Integer, Integer> pattern = null;
        for (JsonNode step : steps) {
            pattern = quantified(step, begun(step, pattern, skip));
        }
        return pattern;
    }

    /** The pattern with one step more, which says nothing yet but how it follows. */
    @SuppressWarnings("unchecked")
    private static Pattern<Integer, Integer> begun(JsonNode step, Pattern<Integer, Integer> before, AfterMatchSkipStrategy skip) {
        String name = step.get("name").asText();
        JsonNode body = step.get("body");
        String contiguity = step.get("contiguity").asText();
        if (body.has("Group")) {
            Pattern<Integer, Integer> group = sequence(body.get("Group"), AfterMatchSkipStrategy.noSkip());
            if (before == null) {
                return Pattern.begin(group, skip);
            }
            switch (contiguity) {
                case "next": return before.next(group);
                case "followed_by": return before.followedBy(group);
                case "followed_by_any": return before.followedByAny(group);
                default: throw new MalformedPatternException("a group can't be absent");
            }
        }
        Pattern<Integer, Integer> begun;
        if (before == null) {
            begun = Pattern.begin(name, skip);
        } else {
            switch (contiguity) {
                case "next": begun = before.next(name); break;
                case "followed_by": begun = before.followedBy(name); break;
                case "followed_by_any": begun = before.followedByAny(name); break;
                case "not_next": begun = before.notNext(name); break;
                default: begun = before.notFollowedBy(name);
            }
        }
        if (body.has("AnyOf")) {
            for (JsonNode kind : body.get("AnyOf")) {
                begun = begun.or(new Kinds(kind.get("condition")));
            }
        } else if (!body.get("Event").isNull()) {
            begun = begun.where(new Kinds(body.get("Event")));
        }
        return begun;
    }

    private static Pattern<Integer, Integer> quantified(JsonNode step, Pattern<Integer, Integer> pattern) {
        JsonNode times = step.get("times");
        if (!times.isNull()) {
            Duration window = times.get("within").isNull() ? null : duration(times.get("within"));
            int min = times.get("min").asInt();
            if (times.get("max").isNull()) {
                pattern = min > 1 ? pattern.timesOrMore(min, window) : pattern.oneOrMore(window);
            } else {
                int max = times.get("max").asInt();
                pattern = min == max ? pattern.times(min, window) : pattern.times(Math.max(min, 1), max, window);
            }
        }
        if (step.get("optional").asBoolean() || !times.isNull() && times.get("min").asInt() == 0) {
            pattern = pattern.optional();
        }
        // Said of what is taken once it means nothing, and is an error in Flink.
        if (!times.isNull()) {
            switch (step.get("inner").asText()) {
                case "consecutive": pattern = pattern.consecutive(); break;
                case "allow_combinations": pattern = pattern.allowCombinations(); break;
                default:
            }
        }
        if (step.get("greedy").asBoolean()) {
            pattern = pattern.greedy();
        }
        if (!step.get("until").isNull()) {
            pattern = pattern.until(new Kinds(step.get("until")));
        }
        if (!step.get("within").isNull()) {
            pattern = pattern.within(duration(step.get("within")), WithinType.PREVIOUS_AND_CURRENT);
        }
        return pattern;
    }

    private static Duration duration(JsonNode node) {
        return Duration.ofSeconds(node.get("secs").asLong(), node.get("nanos").asLong());
    }

    /** Which kinds of event fit, as bits; an iterative one wants an even number of events before it, too. */
    private static final class Kinds extends IterativeCondition<Integer> {
        /** More names than any pattern has steps. */
        private static final int NAMES = 40;

        private final int kinds;
        private final boolean iterative;

        Kinds(JsonNode node) {
            kinds = node.get("kinds").asInt();
            iterative = node.get("iterative").asBoolean();
        }

        @Override
        public boolean filter(Integer event, Context<Integer> context) throws Exception {
            if ((kinds >> event % 8 & 1) == 0) {
                return false;
            }
            int before = 0;
            for (int step = 0; iterative && step < NAMES; step++) {
                for (Integer ignored : context.getEventsForPattern("s" + step)) {
                    before++;
                }
            }
            return before % 2 == 0;
        }
    }

    /** State in maps. */
    private static KeyedStateStore store() {
        return (KeyedStateStore) Proxy.newProxyInstance(
            FlinkCep.class.getClassLoader(),
            new Class<?>[] {KeyedStateStore.class},
            (proxy, method, args) -> {
                if (method.getReturnType() == MapState.class) {
                    return new InMemory<>();
                }
                throw new UnsupportedOperationException(method.toString());
            });
    }

    private static final class InMemory<K, V> implements MapState<K, V> {
        private final Map<K, V> map = new HashMap<>();

        @Override public V get(K key) { return map.get(key); }
        @Override public void put(K key, V value) { map.put(key, value); }
        @Override public void putAll(Map<K, V> other) { map.putAll(other); }
        @Override public void remove(K key) { map.remove(key); }
        @Override public boolean contains(K key) { return map.containsKey(key); }
        @Override public Iterable<Map.Entry<K, V>> entries() { return map.entrySet(); }
        @Override public Iterable<K> keys() { return map.keySet(); }
        @Override public Iterable<V> values() { return map.values(); }
        @Override public Iterator<Map.Entry<K, V>> iterator() { return map.entrySet().iterator(); }
        @Override public boolean isEmpty() { return map.isEmpty(); }
        @Override public void clear() { map.clear(); }
    }

    private FlinkCep() {}
}
