using Gradus.Api;
using Gradus.Api.Chat;
using Gradus.Api.Demo;
using Gradus.Api.Jobs;
using Gradus.Api.Models;

// One binary: the service, and the children it starts for a stage (`stage`), for chat (`serve`) and to look into a model (`check`).
return args switch
{
    ["demo", .. var rest] => await DemoCommand.RunAsync(rest),
    ["stage", .. var rest] => StageProcess.Run(rest),
    ["check", .. var rest] => CheckProcess.Run(rest),
    ["serve", .. var rest] => await ServeProcess.RunAsync(rest),
    _ => await ServiceSetup.RunAsync(args),
};
