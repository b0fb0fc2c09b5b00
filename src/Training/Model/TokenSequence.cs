namespace Gradus.Training.Model;

/// <summary>
/// The tokens of a batch one after the other, without padding, and who sees whom. Tokens stand in families of segments: a token sees its own segment up to itself, and the
/// first tokens of its family that its segment shares (a prompt before its completions).
/// </summary>
/// <param name="Ids">Of all N tokens; <paramref name="Positions"/> in their rows alike.</param>
/// <param name="Families">The first segment of each family, and the number of segments behind the last.</param>
/// <param name="Segments">Three numbers each: the first token, the end, and how many of the family's first tokens it sees besides.</param>
/// <param name="Sources">For each target the token that predicts it.</param>
/// <param name="Places">Where each token stands in the padded lines, line times length plus place.</param>
public sealed record TokenSequence(long[] Ids, int[] Positions, long[] Families, long[] Segments, long[] Sources, long[] Places)
{
    /// <param name="ids">Of padded lines; <paramref name="positions"/> and <paramref name="owners"/> alike.</param>
    /// <param name="owners">The row of each place; -1 is padding. What a line's rows share has an owner of its own, <paramref name="sharedOwner"/>.</param>
    /// <param name="oneFamily">Whether a line's rows belong together.</param>
    /// <param name="sources">Places that predict the targets.</param>
    internal static TokenSequence Of(long[] ids, long[] positions, int[] owners, int length, int sharedOwner, bool oneFamily, IEnumerable<long> sources)
    {
        List<long> families = [], segments = [], places = [];
        var token = new long[ids.Length];
        long shared = 0;
        for (var place = 0; place < ids.Length; place++)
        {
            if (owners[place] == -1) continue;
            var (newLine, at) = (place % length == 0, (long)places.Count);
            if (newLine || owners[place] != owners[place - 1])
            {
                if (newLine || !oneFamily)
                {
                    families.Add(segments.Count / 3);
                    shared = 0;
                }
                segments.AddRange([at, at, shared]);
            }
            if (owners[place] == sharedOwner) shared++;
            segments[^2] = at + 1;
            token[place] = at;
            places.Add(place);
        }
        families.Add(segments.Count / 3);
        return new(
            [.. places.Select(place => ids[place])], [.. places.Select(place => (int)positions[place])], [.. families], [.. segments], [.. sources.Select(place => token[place])], [.. places]);
    }
}
