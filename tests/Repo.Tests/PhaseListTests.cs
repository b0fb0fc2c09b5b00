using System.Text.RegularExpressions;
using Xunit;

namespace Gradus.Repo.Tests;

public sealed partial class PhaseListTests
{
    [Fact]
    public void The_list_of_phases_has_those_that_the_stages_name_and_no_others()
    {
        var named = Repository.Files.Where(file => file.StartsWith("src/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal) && !file.EndsWith("ToyStage.cs", StringComparison.Ordinal))
            .SelectMany(file => Named().Matches(Repository.Read(file)).Select(match => match.Groups[1].Value)).Distinct().Order();
        var listed = Listed().Matches(Repository.Read("src/Training/Stages/Phases.cs")).Select(match => match.Groups[1].Value).Order();
        Assert.Equal(named, listed);
    }

    [GeneratedRegex(@"Progress\(""([a-z]+)""\)")]
    private static partial Regex Named();

    [GeneratedRegex(@"""([a-z]+)""")]
    private static partial Regex Listed();
}
