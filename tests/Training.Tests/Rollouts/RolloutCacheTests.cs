using System.Text.Json;
using Gradus.Training.Tests.Stages;
using Xunit;

namespace Gradus.Training.Tests.Rollouts;

/// <summary>A stage under the bound of its cache.</summary>
public sealed class RolloutCacheTests
{
    [Fact]
    public void A_stage_whose_sequences_wait_for_room_samples_the_same()
    {
        using var stages = new StageHarness().WithBase();
        var (free, few, tight) = (Run(""), Run(",\"max_sequences\":10"), Run(",\"cache_mb\":1"));
        Assert.Equal(64, free.Steps[1].Samples.Count);
        Assert.Equal(Samples(free), Samples(few));
        Assert.Equal(Samples(free), Samples(tight));
        // Without a bound of its own a stage gets what all need that run at once, so that nobody is put back.
        Assert.Equal((0, 0), (free.Metric(1, "cache/put_back"), few.Metric(1, "cache/put_back")));
        Assert.True(tight.Metric(1, "cache/put_back") > 0);
        Assert.True(free.Metric(1, "cache/peak_bytes") > 1_000_000);
        Assert.InRange(few.Metric(1, "cache/peak_bytes"), 1, free.Metric(1, "cache/peak_bytes") / 2);
        // 61 pages of 16,384 bytes.
        Assert.Equal(61 * 16_384, tight.Metric(1, "cache/peak_bytes"));

        MemoryJournal Run(string more)
        {
            var journal = new MemoryJournal();
            stages.Run("evaluate", "e" + more.Length, $$"""{"model":"base","sets":[{"name":"a","dataset":"problems"}],"prompts_per_step":16,"num_generations":4,"max_completion_length":40{{more}}}""", journal);
            return journal;
        }
    }

    private static string Samples(MemoryJournal journal) => JsonSerializer.Serialize(journal.Steps.Values.Select(step => step.Samples));
}
