using System.Text.RegularExpressions;
using Xunit;

namespace Gradus.Repo.Tests;

public sealed partial class MetricsPageTests
{
    // Where stages make metrics; in Rewards and elsewhere the same spelling means other things.
    private static readonly string[] Folders = ["Evaluation", "Export", "Grpo", "Rollouts", "Sft", "Stages"];

    [Fact]
    public void The_page_of_metrics_names_what_the_code_names_and_nothing_else()
    {
        var made = Repository.Files
            .Where(file => Folders.Any(folder => file.StartsWith($"src/Training/{folder}/", StringComparison.Ordinal)) && file.EndsWith(".cs", StringComparison.Ordinal))
            .SelectMany(file => Made().Matches(Repository.Read(file)).Select(match => Hole().Replace(match.Groups[1].Value, "*")))
            // Messages, and the prefix of every evaluation metric.
            .Where(name => !name.Contains(' ', StringComparison.Ordinal) && name != "*/*")
            .ToHashSet();
        var documented = Documented().Matches(Repository.Read("docs/metrics.md"))
            .Select(match => Placeholder().Replace(match.Groups[1].Value, "*"))
            .Select(name => name.StartsWith("*/", StringComparison.Ordinal) ? name[2..] : name)
            .ToHashSet();

        Assert.True(made.Count > 30, $"only {made.Count} names were found in the code");
        Assert.Empty(made.Except(documented));
        Assert.Empty(documented.Except(made));
    }

    /// <summary>new("NAME", value) of a Metric and Add("NAME", value) of a list of them; a comma follows, so a message in a sentence does not count.</summary>
    [GeneratedRegex("""(?:new|Add|Metric)\(\$?"([a-z][A-Za-z0-9_/@{}.\[\]]*|\{[^"]*)", """)]
    private static partial Regex Made();

    [GeneratedRegex(@"\{[^{}]*\}")]
    private static partial Regex Hole();

    [GeneratedRegex(@"^\| `([^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex Documented();

    [GeneratedRegex(@"SET|NAME|PHASE|(?<=@)K")]
    private static partial Regex Placeholder();
}
