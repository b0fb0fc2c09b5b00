using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>One sequence to learn from: <c>Tokens[FirstTarget..]</c> are predicted, what stands before is given.</summary>
/// <param name="FirstTarget">From 1 (nothing predicts the first token) to the length (nothing is predicted).</param>
public sealed record TokenRow(int[] Tokens, int FirstTarget);

/// <summary>
/// Rows as the trainer computes them. One row a line, padded on the right: padding comes after everything a real position may look at, so the causal mask
/// alone is right. Or several rows packed into a line: positions restart with each, and a mask of blocks keeps them apart. Or rows that begin alike, with their
/// beginning once: each goes on from its end, and sees it and itself. Masks come from lengths, never from token ids.
/// </summary>
// Shapes: B lines, T positions of the longest line, N targets over all rows, in the order of the rows.
public sealed class TokenBatch : IDisposable
{
    /// <summary>What a forward and backward pass costs beside its tokens, in tokens: calls, and adding up the gradients. Measured: 64 beats 128 and 256 at 0.8M parameters.</summary>
    private const int BatchCost = 64;

    /// <summary>What is no row's own: padding, and the beginning that a line's rows share.</summary>
    private const int Padding = -1, Shared = -2;

    private readonly Func<Tensor>? blocks;
    private Tensor? allowed_BTT;

    /// <param name="blocks">Makes <see cref="Allowed_BTT"/>; null where that is plain causality.</param>
    private TokenBatch(Tensor ids, Tensor positions, Func<Tensor>? blocks, Tensor sources, Tensor targets, int[] targetRow, int tokenCount, int longest, bool restarts, TokenSequence sequence)
    {
        (Ids_BT, Positions_BT, this.blocks, SourceIndex_N, Targets_N) = (ids, positions, blocks, sources, targets);
        (TargetRow, TokenCount, LongestRow, PositionsRestart, Sequence) = (targetRow, tokenCount, longest, restarts, sequence);
    }

    /// <summary>Token ids, int64; padding is 0.</summary>
    public Tensor Ids_BT { get; }

    /// <summary>Position of each token in its own row, int64; counting on over padding.</summary>
    public Tensor Positions_BT { get; }

    /// <summary>Which positions each may look at, bool; null where that is plain causality. Made when it is first asked for: it grows with the square of a line, and the kernels' pass does without.</summary>
    public Tensor? Allowed_BTT => allowed_BTT ??= blocks?.Invoke().DetachFromDisposeScope();

    /// <summary>Flat index (line times T plus place) of the position that predicts each target, int64.</summary>
    public Tensor SourceIndex_N { get; }

    /// <summary>The token to be predicted, int64.</summary>
    public Tensor Targets_N { get; }

    /// <summary>The row of each target.</summary>
    public IReadOnlyList<int> TargetRow { get; }

    /// <summary>Tokens without padding.</summary>
    public int TokenCount { get; }

    /// <summary>Tokens of the longest row: all positions are below it, however long a line of several rows is.</summary>
    public int LongestRow { get; }

    /// <summary>Whether a line's positions are other than 0, 1, 2, ...</summary>
    public bool PositionsRestart { get; }

    /// <summary>The same without padding.</summary>
    public TokenSequence Sequence { get; }

    /// <summary>One row a line.</summary>
    /// <exception cref="ArgumentException">No rows, an empty row, or a first target out of range.</exception>
    public static TokenBatch Create(IReadOnlyList<TokenRow> rows, string device = "cpu") =>
        Create([.. rows.Select((_, row) => new[] { row })], rows, device);

    /// <summary>
    /// Rows packed into lines as long as the longest row, the longest first, each into the first line with room. Longer lines would save little padding
    /// and cost attention, which grows with the line: a step of the running sums' documents takes 136 ms in lines of 97 tokens, 157 in lines of 192.
    /// </summary>
    /// <param name="longest">Lines are at most this long, but for a row that is longer.</param>
    public static TokenBatch Pack(IReadOnlyList<TokenRow> rows, int longest, string device = "cpu")
    {
        var lines = new List<(List<int> Rows, int Used)>();
        var room = Math.Min(longest, rows.Select(row => row.Tokens.Length).DefaultIfEmpty().Max());
        foreach (var row in Enumerable.Range(0, rows.Count).OrderByDescending(row => rows[row].Tokens.Length).ThenBy(row => row))
        {
            var length = rows[row].Tokens.Length;
            var line = lines.FindIndex(line => line.Used + length <= room);
            if (line < 0) lines.Add(([row], length));
            else
            {
                lines[line].Rows.Add(row);
                lines[line] = (lines[line].Rows, lines[line].Used + length);
            }
        }
        return Create([.. lines.Select(line => line.Rows.ToArray())], rows, device);
    }

    /// <summary>Rows that begin alike, with the beginning once in a line.</summary>
    /// <param name="lines">Each line's rows, whose tokens before the first target are the same. Targets come in this order.</param>
    /// <exception cref="ArgumentException">Also where a line's rows do not begin alike.</exception>
    public static TokenBatch Share(IReadOnlyList<IReadOnlyList<TokenRow>> lines, string device = "cpu")
    {
        if (lines.Any(line => line.Any(row => !row.Tokens.AsSpan(0, row.FirstTarget).SequenceEqual(line[0].Tokens.AsSpan(0, line[0].FirstTarget)))))
            throw new ArgumentException("The rows of a line must begin alike.", nameof(lines));
        var first = 0;
        var places = new List<int[]>();
        foreach (var line in lines)
        {
            places.Add([.. Enumerable.Range(first, line.Count)]);
            first += line.Count;
        }
        return Create([.. places], [.. lines.SelectMany(line => line)], device, share: true);
    }

    /// <summary>
    /// Micro-batches of rows, indices into <paramref name="lengths"/>: rows of like length together, the longest first, none above a budget of tokens with
    /// padding (a row longer than that is alone). Of all such cuts the one whose padded tokens cost least, a batch itself counted as <see cref="BatchCost"/>
    /// tokens. It depends on the lengths alone.
    /// </summary>
    public static IReadOnlyList<int[]> Split(IReadOnlyList<int> lengths, int maxTokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        int[] order = [.. Enumerable.Range(0, lengths.Count).OrderByDescending(row => lengths[row]).ThenBy(row => row)];
        // cheapest[end]: the least cost of the first rows up to end; begin[end]: where its last batch begins.
        var cheapest = new long[order.Length + 1];
        var begin = new int[order.Length + 1];
        for (var end = 1; end <= order.Length; end++)
        {
            cheapest[end] = long.MaxValue;
            for (var start = end - 1; start >= 0; start--)
            {
                var tokens = (end - start) * (long)lengths[order[start]];
                if (tokens > maxTokens && end - start > 1) break;
                if (cheapest[start] + tokens + BatchCost >= cheapest[end]) continue;
                (cheapest[end], begin[end]) = (cheapest[start] + tokens + BatchCost, start);
            }
        }
        var batches = new List<int[]>();
        for (var end = order.Length; end > 0; end = begin[end]) batches.Add(order[begin[end]..end]);
        batches.Reverse();
        return batches;
    }

    public void Dispose()
    {
        Ids_BT.Dispose();
        Positions_BT.Dispose();
        allowed_BTT?.Dispose();
        SourceIndex_N.Dispose();
        Targets_N.Dispose();
    }

    private static TokenBatch Create(int[][] lines, IReadOnlyList<TokenRow> rows, string device, bool share = false)
    {
        if (rows.Count == 0) throw new ArgumentException("A batch needs a row.", nameof(rows));
        foreach (var (tokens, first) in rows)
        {
            if (tokens.Length == 0 || first < 1 || first > tokens.Length) throw new ArgumentException($"A row needs a token and its first target from 1 to its length, not {first} of {tokens.Length}.", nameof(rows));
        }
        // Nothing is shared where every line has one row.
        share &= lines.Any(line => line.Length > 1);
        int Given(int[] line) => share ? rows[line[0]].FirstTarget : 0;
        int length = lines.Max(line => Given(line) + line.Sum(row => rows[row].Tokens.Length - Given(line))), packed = lines.Max(line => line.Length);
        var longest = rows.Max(row => row.Tokens.Length);
        var ids = new long[lines.Length * length];
        var positions = new long[ids.Length];
        var starts = new int[rows.Count];
        var rowOf = new int[ids.Length];
        for (var line = 0; line < lines.Length; line++)
        {
            var place = line * length;
            var end = place + length;
            var given = Given(lines[line]);
            for (var i = 0; i < given; i++, place++) (ids[place], positions[place], rowOf[place]) = (rows[lines[line][0]].Tokens[i], i, Shared);
            foreach (var row in lines[line])
            {
                starts[row] = place - given;
                for (var i = given; i < rows[row].Tokens.Length; i++, place++) (ids[place], positions[place], rowOf[place]) = (rows[row].Tokens[i], i, row);
            }
            // Padding counts on in unpacked lines, so that all lines share their positions; in packed ones it is a row of its own, behind the last, at no position that rows have not.
            for (var i = packed == 1 ? place - (end - length) : 0; place < end; i++, place++) (positions[place], rowOf[place]) = (i % longest, Padding);
        }

        var targets = new List<long>();
        var sources = new List<long>();
        var targetRow = new List<int>();
        for (var row = 0; row < rows.Count; row++)
        {
            for (var i = rows[row].FirstTarget; i < rows[row].Tokens.Length; i++)
            {
                targets.Add(rows[row].Tokens[i]);
                // The first target follows what is given, wherever the row itself stands.
                sources.Add(share && i == rows[row].FirstTarget ? LineOf(starts[row] + i) + i - 1 : starts[row] + i - 1);
                targetRow.Add(row);
            }
        }
        long LineOf(int place) => place / length * length;
        return new TokenBatch(
            Long(ids, device, lines.Length, length), Long(positions, device, lines.Length, length), packed == 1 ? null : () => Blocks(rowOf, lines.Length, length, device),
            Long([.. sources], device, sources.Count), Long([.. targets], device, targets.Count), [.. targetRow], rows.Sum(row => row.Tokens.Length), longest, packed > 1,
            TokenSequence.Of(ids, positions, rowOf, length, Shared, share, sources));
    }

    private static Tensor Blocks(int[] rowOf, int lines, int length, string device)
    {
        var allowed = new bool[(long)lines * length * length];
        for (var place = 0; place < rowOf.Length; place++)
        {
            var line = place / length * length;
            for (var other = line; other <= place; other++) allowed[((long)place * length) + other - line] = rowOf[other] == rowOf[place] || (rowOf[other] == Shared && rowOf[place] >= 0);
        }
        return torch.tensor(allowed, [lines, length, length], device: torch.device(device));
    }

    private static Tensor Long(long[] values, string device, params long[] shape) => torch.tensor(values, shape, device: torch.device(device));
}
