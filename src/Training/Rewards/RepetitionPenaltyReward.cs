using System.Text;

namespace Gradus.Training.Rewards;

/// <summary>
/// The penalty on repeated n-grams (Demystifying Long Chain-of-Thought 2025, appendix C.2; open-r1's get_repetition_penalty_reward): the share of n-grams that stood before in the completion, times
/// <c>max_penalty</c>; 0 for a text of fewer words. Words are what white space parts, in small letters. Unlike open-r1, which cuts Chinese by a dictionary, each Han character is a word.
/// </summary>
/// <param name="size"><c>ngram_size</c>: words, 1 to <see cref="LargestSize"/>; default 3 (open-r1's).</param>
/// <param name="penalty"><c>max_penalty</c>: -100 to 0; default -1 (open-r1's).</param>
public sealed class RepetitionPenaltyReward(int size = 3, double penalty = -1) : IReward
{
    /// <summary>It bounds the work to this many times the text.</summary>
    public const int LargestSize = 40;

    public string Name => "repetition_penalty";

    public double? Score(RewardContext context)
    {
        var (text, ends) = Words(context.Completion);
        if (ends.Count < size) return 0;
        HashSet<string> distinct = new(StringComparer.Ordinal);
        var total = ends.Count - size + 1;
        for (var i = 0; i < total; i++)
        {
            var start = i == 0 ? 0 : ends[i - 1];
            distinct.Add(text[start..ends[i + size - 1]]);
        }
        return (1 - (distinct.Count / (double)total)) * penalty;
    }

    /// <summary>The words, a space after each, and where each ends with its space.</summary>
    private static (string Text, List<int> Ends) Words(string completion)
    {
        StringBuilder text = new(completion.Length);
        List<int> ends = [];
        var inWord = false;
        void End()
        {
            if (!inWord) return;
            text.Append(' ');
            ends.Add(text.Length);
            inWord = false;
        }
        foreach (var rune in completion.EnumerateRunes())
        {
            var alone = LanguageConsistencyReward.IsHan(rune.Value);
            if (alone || Rune.IsWhiteSpace(rune)) End();
            if (Rune.IsWhiteSpace(rune)) continue;
            text.Append(Rune.ToLowerInvariant(rune).ToString());
            inWord = true;
            if (alone) End();
        }
        End();
        return (text.ToString(), ends);
    }
}
