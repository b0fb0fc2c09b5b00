using System.Text;

namespace Gradus.Training.Tasks.RunningSums;

/// <summary>
/// A running sum: a number from 20 to 79, then 3 to 5 additions or subtractions of 2 to 9, no partial result below 10 or above 99.
/// </summary>
/// <param name="Terms">The number, then the signed steps.</param>
/// <param name="Language">The language of the question.</param>
internal sealed record Problem(IReadOnlyList<int> Terms, Words Language)
{
    public int Sum => Terms.Sum();

    public string Expression => Write(Terms);

    /// <summary>What stands for the problem in both languages.</summary>
    public string Key => string.Join(' ', Terms);

    public string Prompt => $"{Marks.User}{Language.Ask}{Expression}{Language.AskEnd}{Marks.NewLine}{Marks.Assistant}";

    /// <summary>Draws problems until one stays in its bounds.</summary>
    public static Problem Draw(ref DerivedRandom random)
    {
        while (true)
        {
            var terms = new int[random.Next(3, 6) + 1];
            var sum = terms[0] = random.Next(20, 80);
            var inBounds = true;
            for (var i = 1; i < terms.Length; i++)
            {
                terms[i] = (random.Next(0, 2) == 0 ? -1 : 1) * random.Next(2, 10);
                sum += terms[i];
                inBounds &= sum is >= 10 and <= 99;
            }

            if (inBounds) return new Problem(terms, random.Next(0, 2) == 0 ? Words.English : Words.Chinese);
        }
    }

    /// <summary><c>47 + 8 - 5</c></summary>
    public static string Write(IEnumerable<int> terms)
    {
        var text = new StringBuilder();
        foreach (var term in terms)
        {
            if (text.Length > 0) text.Append(term > 0 ? Marks.Plus : Marks.Minus);
            text.Append(Math.Abs(term));
        }

        return text.ToString();
    }
}
