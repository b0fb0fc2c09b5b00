using Gradus.Training.Inference;
using Gradus.Training.Inference.Cpu;
using Xunit;

namespace Gradus.Training.Tests.Inference;

/// <summary>Keys and values never take more than their bound; whoever does not fit waits, and draws what it would have drawn.</summary>
public sealed class CacheBoundTests
{
    public static TheoryData<string, string, int> Schedules
    {
        get
        {
            TheoryData<string, string, int> data = [];
            for (var seed = 1; seed <= 6; seed++) foreach (var decoder in new[] { "vector", "bf16", "torch" }) data.Add(decoder, seed % 2 == 0 ? "llama" : "llama, untied, odd widths", seed);
            data.Add("torch", "deepseek_v3", 7);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Sequences_that_come_and_go_under_a_tight_bound_draw_as_alone(string decoder, string name, int seed)
    {
        using var model = DecoderTests.Model(name, seed);
        var random = DerivedRandom.For(seed, "schedule");
        using var engine = new Engine(DecoderTests.Decoder(decoder, model), random.Next(4, 12));
        // The longest has 40 + 50 positions; the bound is one to two of it.
        engine.CacheBytes = BytesFor(random.Next(96, 180));
        var texts = Enumerable.Range(0, 5).Select(_ => Enumerable.Range(0, 40).Select(_ => random.Next(0, model.Config.VocabularySize)).ToArray()).ToArray();
        List<Sequence> all = [];
        HashSet<Sequence> cancelled = [];
        for (var step = 0; step < 60 || !engine.Idle; step++)
        {
            if (step < 60 && random.Next(0, 3) > 0)
            {
                // Prompts that begin alike, to various lengths; some go on from what an earlier one said.
                var prompt = all.Count > 3 && random.Next(0, 3) == 0 ? [.. all[random.Next(0, all.Count)] is var said ? said.Request.Prompt.Concat(said.Tokens).Take(40) : []] : random.Pick(texts)[..random.Next(1, 40)];
                all.AddRange(engine.Add(new(prompt, random.Next(1, 50), new SamplingOptions(), [3], [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => random.NextUInt64())])));
            }
            if (random.Next(0, 9) == 0 && all.Count > 0 && random.Pick(all) is { FinishReason: null } leaver && cancelled.Add(leaver)) engine.Remove(leaver);
            engine.Step();
            Assert.InRange(engine.PeakCacheBytes, 0, engine.CacheBytes);
        }
        Assert.True(engine.PutBack > 0, "The bound was not tight.");
        foreach (var sequence in all.Where(sequence => !cancelled.Contains(sequence)))
        {
            var alone = PrefixCacheTests.Alone(decoder, model, sequence.Request with { Keys = [sequence.Key] });
            if (decoder != "torch") PrefixCacheTests.AssertSame(alone, sequence);
            else Assert.Equal(alone.Tokens, sequence.Tokens);
            foreach (var (one, other) in alone.LogProbs.Zip(sequence.LogProbs)) Assert.Equal(one, other, decoder == "torch" ? 1e-4 : 0);
        }
        foreach (var left in cancelled) Assert.Null(left.FinishReason);

        // Nothing is held any more: one that needs all there is runs at once.
        var (putBack, most) = (engine.PutBack, engine.MaxPositions);
        var last = engine.Add(new([1], most - 1, SamplingOptions.Greedy, [], [0]))[0];
        DecoderTests.Finish(engine);
        Assert.Equal((most - 1, putBack), (last.Tokens.Count, engine.PutBack));

        long BytesFor(int positions)
        {
            using var other = DecoderTests.Decoder(decoder, model);
            return other.BytesOf(positions);
        }
    }

    [Fact]
    public void First_come_first_served_and_those_who_came_last_give_way()
    {
        var decoder = new CountingDecoder { CacheBytes = 48 };
        var engine = new Engine(decoder, 4);
        var first = engine.Add(Request(14, 20, 1))[0];
        var second = engine.Add(Request(14, 20, 2))[0];
        var large = engine.Add(Request(25, 10, 3))[0];
        var small = engine.Add(Request(1, 5, 4))[0];
        engine.Step();
        // The small one would fit, and does not overtake.
        Assert.Equal((2, 2, 0), (engine.Running, engine.Waiting, engine.PutBack));
        while (second.Tokens.Count == first.Tokens.Count) engine.Step();
        // Twice 14 and 10 are all there is: the second waits, and is the next to come.
        Assert.Equal((12, 11), (first.Tokens.Count, second.Tokens.Count));
        Assert.Equal((1, 3, 1), (engine.Running, engine.Waiting, engine.PutBack));
        while (first.FinishReason is null) engine.Step();
        Assert.Empty(large.Tokens);
        Assert.Empty(small.Tokens);
        while (!engine.Idle) engine.Step();
        Assert.Equal(48, decoder.PeakCacheBytes);
        Assert.Equal(Alone(second), second.Tokens);
        Assert.Equal(Alone(small), small.Tokens);

        IReadOnlyList<int> Alone(Sequence sequence)
        {
            var other = new Engine(new CountingDecoder(), 1);
            var alone = other.Add(sequence.Request)[0];
            while (!other.Idle) other.Step();
            return alone.Tokens;
        }
    }

    [Fact]
    public void What_can_never_fit_is_refused_with_what_it_needs_and_what_there_is()
    {
        using var model = DecoderTests.Model("llama", 1);
        using var engine = new Engine(DecoderTests.Decoder("vector", model), 4);
        engine.CacheBytes = (5 * PrefixCacheTests.BytesOfPage(model)) + 1;
        Assert.Equal(80, engine.MaxPositions);
        var refused = Assert.Throws<InvalidInputException>(() => engine.Add(Request(60, 21, 1)));
        Assert.Equal(("max_tokens", "cache_too_small"), (refused.Parameter, refused.Code));
        // 6 pages of 2 layers x 4 heads x (32 + 32) features x 16 positions x 4 bytes.
        Assert.StartsWith("A sequence of 81 tokens needs 0.197 MB of keys and values, and the cache is bounded to 0.164 MB, which is 80 tokens", refused.Message, StringComparison.Ordinal);
        Assert.True(engine.Idle);
        Assert.Equal(20, Finished(engine, Request(60, 20, 1)).Tokens.Count);
        engine.CacheBytes = 5;
        Assert.Throws<InvalidInputException>(() => engine.Add(Request(1, 1, 1)));
    }

    [Fact]
    public void Memory_above_a_lower_bound_is_given_back_and_the_oldest_page_goes_first()
    {
        using var pool = new PagePool(new(1, 1, 16));
        var slots = new SlotPages(pool);
        pool.Limit(3);
        Assert.Equal(0, Pass([.. Enumerable.Range(0, 33)]));
        // Whoever comes next takes the second page of that text, not the first: it alone could not be found.
        Assert.Equal(0, Pass([.. Enumerable.Range(100, 17)]));
        Assert.Equal(16, Pass([.. Enumerable.Range(0, 33)]));
        Assert.Equal(16, Pass([.. Enumerable.Range(0, 17)]));
        Assert.Equal(0, Pass([.. Enumerable.Range(100, 17)]));
        Assert.Equal(0, Pass([.. Enumerable.Range(200, 17)]));
        Assert.Equal(16, Pass([.. Enumerable.Range(100, 17)]));
        Assert.False(slots.TryBegin(0, [.. Enumerable.Range(0, 49)], share: true));
        Assert.Equal((3, 3L, 0), (pool.Peak, pool.Room, pool.Held));
        pool.Limit(1);
        Assert.Equal(1, pool.Room);
        Assert.False(slots.TryBegin(0, [.. Enumerable.Range(0, 17)], share: true));

        int Pass(int[] tokens)
        {
            Assert.True(slots.TryBegin(0, tokens, share: true));
            slots.Settle(0);
            var cached = slots.Cached(0);
            slots.Release(0);
            return cached;
        }
    }

    private static GenerationRequest Request(int prompt, int tokens, ulong key) => new([.. Enumerable.Range(1, prompt).Select(token => token % 31)], tokens, new SamplingOptions(), [], [key]);

    private static Sequence Finished(Engine engine, GenerationRequest request)
    {
        var sequence = engine.Add(request)[0];
        DecoderTests.Finish(engine);
        return sequence;
    }
}
