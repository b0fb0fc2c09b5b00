using System.Text.Json;

namespace Gradus.Training.Stages;

/// <summary>
/// The rows of joined datasets in the order in which training sees them: epoch after epoch, each shuffled by (seed, epoch) alone. Which rows a step has
/// follows from its number, so that there is no position to save.
/// </summary>
internal sealed class RowOrder
{
    private readonly long seed;
    private readonly IReadOnlyList<(IReadOnlyList<JsonElement> Rows, double Weight)> parts;
    private JsonElement[] epochRows = [];
    private long epoch = -1;

    public RowOrder(IReadOnlyList<(IReadOnlyList<JsonElement> Rows, double Weight)> parts, long seed)
    {
        (this.parts, this.seed) = (parts, seed);
        EpochSize = parts.Sum(p => Copies(p.Rows.Count, p.Weight));
        if (EpochSize == 0) throw new InvalidInputException("The datasets hold no row to train on.", "options.dataset");
    }

    /// <summary>Rows of one epoch.</summary>
    public long EpochSize { get; }

    /// <summary>The same rows in an order that has nothing to do with this one.</summary>
    public RowOrder Apart(string purpose) => new(parts, (long)DerivedRandom.Key(seed, purpose));

    /// <summary>Reads the datasets and leaves out the rows whose prompts are held out, with an event that counts them.</summary>
    public static RowOrder Open(DatasetOptions options, StageContext context) => new(Read(options, context), context.Seed);

    /// <summary>The rows of all datasets once each, weights aside, in order.</summary>
    public static IReadOnlyList<(IReadOnlyList<JsonElement> Rows, double Weight)> Read(DatasetOptions options, StageContext context)
    {
        var heldOut = HeldOut(options.HeldOut, context);
        List<(IReadOnlyList<JsonElement>, double)> parts = [];
        foreach (var (dataset, weight) in options.Datasets)
        {
            context.Progress("data");
            var rows = context.Catalog.Rows(dataset.Resolved);
            var kept = heldOut.Count == 0 ? rows : [.. rows.Where(row => !heldOut.Contains(PromptKey.Of(row)))];
            if (kept.Count < rows.Count) context.Warn($"Left out {rows.Count - kept.Count} of {rows.Count} rows of {dataset.Id}: their prompts are held out for evaluation.");
            parts.Add((kept, weight));
        }
        return parts;
    }

    public static HashSet<string> HeldOut(IEnumerable<StageReference> sets, StageContext context) =>
        [.. sets.SelectMany(set => context.Catalog.Rows(set.Resolved)).Select(PromptKey.Of)];

    /// <summary>The rows of a step, counted from 1.</summary>
    public IReadOnlyList<JsonElement> Batch(int step, int size)
    {
        var rows = new JsonElement[size];
        for (var i = 0; i < size; i++)
        {
            var (whole, place) = Math.DivRem(((step - 1L) * size) + i, EpochSize);
            if (whole != epoch) Shuffle(whole);
            rows[i] = epochRows[place];
        }
        return rows;
    }

    private void Shuffle(long number)
    {
        List<JsonElement> rows = new((int)EpochSize);
        for (var part = 0; part < parts.Count; part++)
        {
            var (all, weight) = parts[part];
            for (var copy = 0; copy < (int)weight; copy++) rows.AddRange(all);
            var drawn = Copies(all.Count, weight) - ((int)weight * (long)all.Count);
            var order = all.ToArray();
            DerivedRandom.For(seed, "epoch share", number, part).Shuffle(order.AsSpan());
            rows.AddRange(order.Take((int)drawn));
        }
        epochRows = [.. rows];
        DerivedRandom.For(seed, "epoch", number).Shuffle(epochRows.AsSpan());
        epoch = number;
    }

    private static long Copies(int count, double weight) => (long)Math.Round(count * weight);
}
